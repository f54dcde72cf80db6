#include "data/row_share.h"

#include <glog/logging.h>

#include <algorithm>

#include "kernels/core/error.h"

namespace longhaul::data {

void check_share(const RowShare& share, int64_t length) {
  CHECK(share.data_ranks >= 1 && share.rows >= 1 && share.data_rank >= 0 &&
        share.data_rank < share.data_ranks && share.rows <= kMostRows / share.data_ranks)
      << "rank " << share.data_rank << " of " << share.data_ranks << ", " << share.rows << " rows";
  if (length < 1 || length > kMostSteps)
    throw core::InputError(
        core::message("sequence length: is ", length, ", expected from 1 to ", kMostSteps));
}

Batch empty_batch(int64_t rows, int64_t length) {
  const auto cells = static_cast<size_t>(rows * length);
  return {.sequences = rows,
          .length = length,
          .tokens = std::vector<int32_t>(cells, 0),
          .labels = std::vector<int32_t>(cells, -1),
          .fresh = std::vector<uint8_t>(static_cast<size_t>(rows), 0)};
}

void read_row(const RowShare& share, const Row& row, const std::function<void()>& read,
              Batch& batch) {
  const auto begin = row.row * batch.length;
  bool is_good = true;
  std::ranges::fill(row.tokens, 0);
  try {
    read();
  } catch (const core::InputError& problem) {
    if (!share.skip_bad_rows) throw;
    LOG(WARNING) << problem.what() << "; the row counts for nothing";
    is_good = false;
  }
  const auto is_none = [&](int32_t token) { return token < 0 || token >= row.vocabulary; };
  if (!is_good) std::ranges::replace_if(row.tokens, is_none, 0);
  std::copy(row.tokens.begin(), row.tokens.end() - 1, batch.tokens.begin() + begin);
  if (is_good) std::copy(row.tokens.begin() + 1, row.tokens.end(), batch.labels.begin() + begin);
}

void require_tokens(const TokenData& folder, int64_t needed, const std::string& what) {
  if (folder.tokens() <= needed)
    throw core::InputError(core::message(folder.path().string(), ": has ", folder.tokens(),
                                         " tokens, expected at least ", needed + 1, " (", what,
                                         " and the token after)"));
}

}  // namespace longhaul::data
