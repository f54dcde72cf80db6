#include "dist/shard_layout.h"

#include <glog/logging.h>

#include <algorithm>

namespace longhaul::dist {

ShardLayout::ShardLayout(const ShardSetting& setting) : setting_(setting) {
  const auto [elements, ranks, wanted, block] = setting;
  CHECK(elements >= 0 && ranks >= 1 && wanted >= 1 && block >= 1);
  if (ranks == 1) {
    if (elements > 0) buckets_.push_back({0, elements, elements, true});
    return;
  }
  const int64_t unit = ranks * block;
  const int64_t bucket = (wanted + unit - 1) / unit * unit;
  int64_t begin = 0;
  while (elements - begin >= unit) {
    const int64_t size = std::min(bucket, (elements - begin) / unit * unit);
    buckets_.push_back({begin, begin + size, size / ranks, true});
    begin += size;
  }
  if (begin < elements) buckets_.push_back({begin, elements, block, false});
}

Piece ShardLayout::piece(const Bucket& bucket, int rank) const {
  CHECK(rank >= 0 && rank < setting_.ranks);
  const int64_t begin = std::min(bucket.end, bucket.begin + rank * bucket.piece);
  return {begin, std::min(bucket.end, begin + bucket.piece)};
}

int64_t ShardLayout::padded() const {
  if (buckets_.empty() || buckets_.back().even) return 0;
  return setting_.ranks * buckets_.back().piece;
}

int64_t ShardLayout::owned(int rank) const {
  int64_t total = 0;
  for (const Bucket& bucket : buckets_) total += piece(bucket, rank).elements();
  return total;
}

}  // namespace longhaul::dist
