// Sums gradients over ranks in buckets while backward still runs.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "dist/communicator.h"
#include "dist/shard_layout.h"

namespace longhaul::dist {

/// `gradients` is flat; backward announces parts as they become final, from the end of the buffer
/// towards its start or in any order. Buckets are fixed at construction, so the order of summation
/// is too.
class GradientReducer {
 public:
  /// Bounds messages and memory of the machine. A rank this many buckets ahead of the slowest one
  /// waits: the link has enough to do meanwhile.
  static constexpr int64_t kMostUnderWay = 64;

  /// Every rank receives every sum.
  GradientReducer(Communicator& group, core::TensorView gradients,
                  int64_t bucket_bytes = int64_t{4} << 20);
  /// Each rank receives the sums of its pieces, the same bits; the rest of its buffer is of no use
  /// afterwards.
  GradientReducer(Communicator& group, core::TensorView gradients, const ShardLayout& layout);

  void begin_step();
  /// Elements [begin, end) are final on this rank. Starts the reduction of every bucket that is now
  /// complete, in the same bucket order on every rank. Waits for the oldest one where many are
  /// under way: whatever other ranks need to get there must not depend on what this rank does
  /// after.
  void ready(int64_t begin, int64_t end);
  /// Waits until every element (or every own one) holds the sum over all ranks. Parts never
  /// announced count as ready now.
  void finish();

 private:
  struct Bucket {
    int64_t begin = 0, end = 0;
    bool scatters = false;
    int64_t missing = 0;
    std::unique_ptr<Pending> pending;
  };
  void start_complete_buckets();
  void wait_for_oldest();
  std::unique_ptr<Pending> start(const Bucket& bucket);

  Communicator& group_;
  core::TensorView gradients_;
  std::vector<Bucket> buckets_;   // in order of reduction: last elements first
  size_t oldest_ = 0, next_ = 0;  // from the one to before the other they are under way
};

}  // namespace longhaul::dist
