// The gradient reducer: whatever the order of announcements, the sum over ranks in its one order,
// whole or in shards; and the gathering of shards.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "dist/gradient_reducer.h"
#include "dist/shard_gather.h"
#include "kernels/core/random.h"
#include "tests/dist/rank_values.h"
#include "tests/support/rank_case.h"

namespace longhaul::test {

using dist::Communicator;
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

/// What is summed, and in how large buckets.
struct ReducerRun {
  std::vector<float> (*own)(int rank, int64_t count);
  std::vector<float> (*sum)(int ranks, int64_t count);
  struct Extent {
    int64_t count = 0, bucket = 0;  ///< elements; of a bucket
  };
  std::vector<Extent> extents;
};

/// Sums that the order of their terms changes, and buckets of every size.
inline ReducerRun every_bit() {
  ReducerRun run{.own = sensitive, .sum = sum_over_ranks, .extents = {}};
  for (int64_t count : {0, 1, 5, 40, 1000, 20011}) {
    for (int64_t bucket : {1, 100, 300, 1024, 1 << 20}) {
      if (count <= 1000 || bucket >= 300) run.extents.push_back({count, bucket});
    }
  }
  return run;
}

inline std::vector<float> whole_numbers(int rank, int64_t count) {
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(static_cast<float>((rank + 1) * (i % 13)));
  return values;
}
inline std::vector<float> sum_of_whole_numbers(int ranks, int64_t count) {
  return whole_numbers(ranks * (ranks + 1) / 2 - 1, count);
}

/// Sums that are the same in any order, for communicators that have one of their own; few, but once
/// more buckets than are under way at a time.
inline ReducerRun any_order() {
  return {.own = whole_numbers,
          .sum = sum_of_whole_numbers,
          .extents = {{0, 100}, {1, 100}, {1000, 300}, {20011, 1024}, {20011, 200}}};
}

inline void gradients_are_summed(Communicator& group, const ReducerRun& run) {
  for (const auto& [count, bucket] : run.extents) {
    const auto expected = run.sum(group.size(), count);
    const int64_t bucket_bytes = bucket * static_cast<int64_t>(sizeof(float));
    std::vector<float> gradients(static_cast<size_t>(count));
    dist::GradientReducer reducer(group, view_of(gradients), bucket_bytes);
    for (const auto how : {Announcement::kBackwards, Announcement::kForwards,
                           Announcement::kShuffled, Announcement::kNever, Announcement::kHalf}) {
      const auto own = run.own(group.rank(), count);
      reducer.begin_step();
      run_backward(reducer, gradients, own, how, group.rank());
      reducer.finish();
      ASSERT_EQ(gradients, expected) << count << " elements, buckets of " << bucket_bytes
                                     << " bytes, announcement " << static_cast<int>(how);
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

inline dist::ShardLayout shards(const Communicator& group, int64_t count, int64_t bucket) {
  return dist::ShardLayout(
      {.elements = count, .ranks = group.size(), .bucket = bucket, .block = 16});
}

inline void sharded_gradients_are_pieces_of_whole_ones(Communicator& group, const ReducerRun& run) {
  for (const auto& [count, bucket] : run.extents) {
    const auto expected = run.sum(group.size(), count);
    const dist::ShardLayout layout = shards(group, count, bucket);
    std::vector<float> gradients(static_cast<size_t>(count));
    dist::GradientReducer reducer(group, view_of(gradients), layout);
    for (const auto how : {Announcement::kBackwards, Announcement::kShuffled, Announcement::kNever,
                           Announcement::kHalf}) {
      const auto own = run.own(group.rank(), count);
      reducer.begin_step();
      run_backward(reducer, gradients, own, how, group.rank());
      reducer.finish();
      for (const auto& each : layout.buckets()) {
        const dist::Piece piece = layout.piece(each, group.rank());
        for (int64_t i = piece.begin; i < piece.end; ++i) {
          ASSERT_EQ(gradients[static_cast<size_t>(i)], expected[static_cast<size_t>(i)])
              << "element " << i << " of " << count << ", buckets of " << bucket;
        }
      }
    }
  }
}

/// Every rank knows its pieces only; afterwards all know all.
inline void shards_are_gathered(Communicator& group, const ReducerRun& run) {
  for (const auto& [count, bucket] : run.extents) {
    const dist::ShardLayout layout = shards(group, count, bucket);
    std::vector<float> values(static_cast<size_t>(count), -1.0f);
    std::vector<float> padding(static_cast<size_t>(layout.padded()), -2.0f);
    dist::ShardGather gather(group, view_of(values), layout, {view_of(padding), core::copy_now});
    for (const auto& each : layout.buckets()) {
      const dist::Piece piece = layout.piece(each, group.rank());
      for (int64_t i = piece.begin; i < piece.end; ++i) {
        values[static_cast<size_t>(i)] = static_cast<float>(i);
      }
      gather.start(each);
    }
    gather.finish();
    expect_values(
        values, [](int64_t i) { return i; }, "gathered in buckets of " + std::to_string(bucket));
  }
}

/// Of what `run` says, which must be the communicator's sums to the bit.
inline std::vector<RankCase> reducer_cases(const ReducerRun& run) {
  return {{"gradients_are_summed", [=](Communicator& group) { gradients_are_summed(group, run); }},
          {"sharded_gradients_are_pieces_of_whole_ones",
           [=](Communicator& group) { sharded_gradients_are_pieces_of_whole_ones(group, run); }},
          {"shards_are_gathered", [=](Communicator& group) { shards_are_gathered(group, run); }}};
}

inline std::vector<RankCase> reducer_contract() {
  std::vector<RankCase> cases = reducer_cases(every_bit());
  cases.push_back({"reduction_runs_before_finish", reduction_runs_before_finish});
  return cases;
}

}  // namespace longhaul::test
