// What all batch sources begin with.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "data/batch.h"
#include "data/samplers.h"

namespace longhaul::data {

/// Bounds of lengths and counters: far beyond any run, and their products cannot overflow.
inline constexpr int64_t kMostSteps = int64_t{1} << 40;
inline constexpr int64_t kMostRows = int64_t{1} << 20;

/// CHECKs that the share makes sense; InputError for an impossible length.
void check_share(const RowShare& share, int64_t length);
/// Tokens 0, labels −1, nothing fresh.
Batch empty_batch(int64_t rows, int64_t length);
/// False where `read` throws InputError, bad rows are skipped and so this one is, with a warning.
bool read_row(const RowShare& share, const std::function<void()>& read);
/// InputError unless the folder has `needed` tokens and one more; `what` they are needed for.
void require_tokens(const TokenData& folder, int64_t needed, const std::string& what);

}  // namespace longhaul::data
