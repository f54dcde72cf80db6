#include "data/row_share.h"

#include <glog/logging.h>

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

bool read_row(const RowShare& share, const std::function<void()>& read) try {
  read();
  return true;
} catch (const core::InputError& problem) {
  if (!share.skip_bad_rows) throw;
  LOG(WARNING) << problem.what() << "; the row counts for nothing";
  return false;
}

void require_tokens(const TokenData& folder, int64_t needed, const std::string& what) {
  if (folder.tokens() <= needed)
    throw core::InputError(core::message(folder.path().string(), ": has ", folder.tokens(),
                                         " tokens, expected at least ", needed + 1, " (", what,
                                         " and the token after)"));
}

}  // namespace longhaul::data
