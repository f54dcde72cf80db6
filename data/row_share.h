// What all batch sources begin with.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
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
struct Row {
  int64_t row = 0;
  std::span<int32_t> tokens;
  int64_t vocabulary = 0;
};
/// Has `read` fill `tokens` (those of the row and the one after it) and makes them row `row` of the
/// batch, from its first column on. Where it throws InputError for tokens outside the vocabulary
/// and bad rows are skipped, the row has no labels, with a warning: it counts for nothing. Such
/// tokens are then 0; the others stay, for the state that the row ends in may be passed on.
void read_row(const RowShare& share, const Row& row, const std::function<void()>& read,
              Batch& batch);
/// InputError unless the folder has `needed` tokens and one more; `what` they are needed for.
void require_tokens(const TokenData& folder, int64_t needed, const std::string& what);

}  // namespace longhaul::data
