// Collectives of many ranks in ⌈log₂ ranks⌉ rounds, as stages of one operation: recursive doubling
// for reductions, the algorithm of Bruck et al. ("Efficient algorithms for all-to-all
// communications in multiport message-passing systems", IEEE TPDS 1997) for gathers, dissemination
// for barriers.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>

#include "dist/reduction.h"
#include "dist/staged_operation.h"

namespace longhaul::dist {

/// What costs least: among few ranks one latency counts, so everybody sends to everybody; among
/// many the number of messages, until the volume of `bytes` (of all ranks' parts together) does.
bool goes_by_doubling(int64_t ranks, int64_t bytes);
/// Where not: whether everybody sends its whole contribution to a sum, or each rank its share.
bool goes_whole(int64_t ranks, int64_t bytes);
/// Whether the root of a broadcast hands out shares that all give to each other, twice the volume
/// at once, or a binomial tree passes on the whole, the volume in every round.
bool goes_in_shares(int64_t ranks, int64_t bytes);

using Stages = std::deque<StagedOperation::Stage>;

struct RankOf {
  int rank = 0, ranks = 1;
};

struct DoublingReduction {
  RankOf me;
  Reduction reduction = Reduction::kSum;
  core::DType dtype = core::DType::kF32;
  const void* source = nullptr;
  int64_t count = 0;  ///< elements
  /// Receives all `count` results in the accumulator's type (dist/reduction.h), whose tree this
  /// follows.
  std::function<void(const char* accumulators)> finish;
};
Stages reduce_by_doubling(const DoublingReduction& reduction);

/// own: `bytes` of this rank; gathered: of all, in rank order. own may lie in gathered.
Stages gather_by_doubling(RankOf me, const void* own, int64_t bytes, char* gathered);

Stages barrier_by_doubling(RankOf me);

}  // namespace longhaul::dist
