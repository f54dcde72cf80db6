#include "dist/doubling.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

namespace longhaul::dist {

namespace {

constexpr int64_t kFewRanks = 16;
constexpr int64_t kSmallShare = 4096;   // bytes of a buffer for each rank
constexpr int64_t kSmallWhole = 16384;  // bytes

}  // namespace

bool goes_by_doubling(int64_t ranks, int64_t bytes) {
  return ranks > kFewRanks && bytes <= kSmallShare * ranks;
}

bool goes_whole(int64_t ranks, int64_t bytes) { return ranks == 2 || bytes <= kSmallWhole; }

bool goes_in_shares(int64_t ranks, int64_t bytes) {
  return ranks > 2 && bytes > std::max(kSmallWhole, kSmallShare * ranks);
}

Stages reduce_by_doubling(const DoublingReduction& reduction) {
  const int rank = reduction.me.rank, ranks = reduction.me.ranks;
  const int in_tree = static_cast<int>(std::bit_floor(static_cast<unsigned>(ranks)));
  const int joined = ranks - in_tree;  // rank r of these joins rank r − in_tree
  const core::DType accumulator = accumulator_of(reduction.dtype);
  const int64_t bytes = reduction.count * core::size_of(accumulator);
  const int64_t stride = (bytes + 63) / 64 * 64;  // in scratch: own results, then the other's
  const auto combine = [=](bool is_lower) {
    return [=](StagedOperation& op) {
      const char* own = op.scratch();
      const char* other = own + stride;
      std::vector<const void*> both{is_lower ? own : other, is_lower ? other : own};
      reduce(reduction.reduction, accumulator, both, op.scratch(), reduction.count);
    };
  };

  Stages stages;
  stages.push_back([=](StagedOperation& op) {
    char* own = op.scratch(2 * stride);
    widen(reduction.dtype, reduction.source, own, reduction.count);
    if (rank >= in_tree) op.send(own, bytes, rank - in_tree);
    if (rank < joined) op.receive(own + stride, bytes, rank + in_tree);
  });
  if (rank < joined) stages.push_back(combine(true));
  for (int distance = 1; distance < in_tree && rank < in_tree; distance *= 2) {
    stages.push_back([=](StagedOperation& op) {
      op.receive(op.scratch() + stride, bytes, rank ^ distance);
      op.send(op.scratch(), bytes, rank ^ distance);
    });
    stages.push_back(combine((rank & distance) == 0));
  }
  stages.push_back([=](StagedOperation& op) {
    if (rank >= in_tree) op.receive(op.scratch(), bytes, rank - in_tree);
    if (rank < joined) op.send(op.scratch(), bytes, rank + in_tree);
  });
  stages.push_back([=](StagedOperation& op) { reduction.finish(op.scratch()); });
  return stages;
}

Stages gather_by_doubling(RankOf me, const void* own, int64_t bytes, char* gathered) {
  const int rank = me.rank, ranks = me.ranks;
  Stages stages;
  stages.push_back([=](StagedOperation& op) {  // in scratch: this rank's, the next one's, …
    std::memcpy(op.scratch(ranks * bytes), own, static_cast<size_t>(bytes));
  });
  for (int distance = 1; distance < ranks; distance *= 2) {
    stages.push_back([=](StagedOperation& op) {
      const int64_t blocks = std::min(distance, ranks - distance);
      op.receive(op.scratch() + distance * bytes, blocks * bytes, (rank + distance) % ranks);
      op.send(op.scratch(), blocks * bytes, (rank - distance + ranks) % ranks);
    });
  }
  stages.push_back([=](StagedOperation& op) {
    const int64_t to_last = (ranks - rank) * bytes;
    std::memcpy(gathered + rank * bytes, op.scratch(), static_cast<size_t>(to_last));
    std::memcpy(gathered, op.scratch() + to_last, static_cast<size_t>(rank * bytes));
  });
  return stages;
}

Stages barrier_by_doubling(RankOf me) {
  const int rank = me.rank, ranks = me.ranks;
  Stages stages;
  for (int distance = 1; distance < ranks; distance *= 2) {
    stages.push_back([=](StagedOperation& op) {
      op.receive(nullptr, 0, (rank - distance + ranks) % ranks);
      op.send(nullptr, 0, (rank + distance) % ranks);
    });
  }
  return stages;
}

}  // namespace longhaul::dist
