// What all batch sources begin with.
#pragma once

#include <cstdint>
#include <string>

#include "data/batch.h"
#include "data/samplers.h"

namespace longhaul::data {

/// Bound of counters in positions: far beyond any run, and products with row counts cannot overflow.
inline constexpr int64_t kMostSteps = int64_t{1} << 40;

/// CHECKs that the share makes sense; InputError for a length below 1.
void check_share(const RowShare& share, int64_t length);
/// Tokens 0, labels −1, nothing fresh.
Batch empty_batch(int64_t rows, int64_t length);
/// InputError if the folder has fewer than `least` tokens; `what` they are needed for.
void require_tokens(const TokenFolder& folder, int64_t least, const std::string& what);

}  // namespace longhaul::data
