// The gradient reducer: whatever the order of announcements, the sum over ranks in rank order.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "dist/gradient_reducer.h"
#include "kernels/core/random.h"
#include "tests/dist/rank_values.h"
#include "tests/support/rank_case.h"

namespace longhaul::test {

using dist::Communicator;
inline std::vector<float> sum_over_ranks(int ranks, int64_t count) {
  auto sum = sensitive(0, count);
  for (int r = 1; r < ranks; ++r) {
    const auto part = sensitive(r, count);
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += part[i];
  }
  return sum;
}

enum class Announcement { kBackwards, kForwards, kShuffled, kNever, kHalf };

/// Computes and announces gradients in pieces of 7, in an order that may differ between ranks. What
/// is not yet computed is NaN: a bucket that leaves too early is seen.
inline void run_backward(dist::GradientReducer& reducer, std::vector<float>& gradients,
                         const std::vector<float>& own, Announcement how, int rank) {
  constexpr int64_t kPiece = 7;
  const auto count = static_cast<int64_t>(own.size());
  const int64_t pieces = (count + kPiece - 1) / kPiece;
  std::fill(gradients.begin(), gradients.end(), std::numeric_limits<float>::quiet_NaN());
  const auto compute = [&](int64_t piece, bool announced) {
    const int64_t begin = piece * kPiece, end = std::min(count, begin + kPiece);
    std::copy(own.begin() + begin, own.begin() + end, gradients.begin() + begin);
    if (announced) reducer.ready(begin, end);
  };
  const auto is_announced = [&](int64_t piece) {
    return how == Announcement::kHalf ? piece % 2 == 1 : how != Announcement::kNever;
  };
  for (int64_t i = 0; i < pieces; ++i) {
    if (!is_announced(i)) compute(i, false);
  }
  for (int64_t i = 0; i < pieces; ++i) {
    int64_t piece = pieces - 1 - i;
    if (how == Announcement::kForwards) piece = i;
    if (how == Announcement::kShuffled) piece = (i + rank) % pieces;
    if (is_announced(piece)) compute(piece, true);
  }
}

inline void gradients_are_summed_over_ranks(Communicator& group) {
  for (int64_t count : {0, 1, 5, 1000, 20011}) {
    const auto expected = sum_over_ranks(group.size(), count);
    for (int64_t bucket_bytes : {1, 400, 4096, 1 << 20}) {
      if (count > 1000 && bucket_bytes < 4096) continue;
      std::vector<float> gradients(static_cast<size_t>(count));
      dist::GradientReducer reducer(group, view_of(gradients), bucket_bytes);
      for (const auto how : {Announcement::kBackwards, Announcement::kForwards,
                             Announcement::kShuffled, Announcement::kNever, Announcement::kHalf}) {
        const auto own = sensitive(group.rank(), count);
        reducer.begin_step();
        run_backward(reducer, gradients, own, how, group.rank());
        reducer.finish();
        ASSERT_EQ(gradients, expected) << count << " elements, buckets of " << bucket_bytes
                                       << " bytes, announcement " << static_cast<int>(how);
      }
    }
  }
}

/// The reduction runs while this rank computes: with everything announced, the sums are there
/// before finish().
inline void reduction_runs_before_finish(Communicator& group) {
  std::vector<float> gradients = sensitive(group.rank(), 5000);
  const auto expected = sum_over_ranks(group.size(), 5000);
  dist::GradientReducer reducer(group, view_of(gradients), 4000);
  reducer.ready(0, 5000);
  group.barrier();  // waiting for anything advances everything; twice, for the second phase of the
                    // sums
  group.barrier();
  group.barrier();
  EXPECT_EQ(gradients[4999], expected[4999]) << "the first bucket was not under way";
  reducer.finish();
  EXPECT_EQ(gradients, expected);
}

inline std::vector<RankCase> reducer_contract() {
  return {{"gradients_are_summed_over_ranks", gradients_are_summed_over_ranks},
          {"reduction_runs_before_finish", reduction_runs_before_finish}};
}

}  // namespace longhaul::test
