#include "dist/shard_gather.h"

#include <glog/logging.h>

#include <utility>

namespace longhaul::dist {

namespace {

constexpr size_t kMostUnderWay = 16;  // keeps the number of messages in the machine bounded

}  // namespace

ShardGather::ShardGather(Communicator& group, core::TensorView values, const ShardLayout& layout)
    : group_(group), values_(values), layout_(layout) {
  CHECK(values.rank() == 1 && values.is_contiguous());
  CHECK(layout.elements() == values.elements() && layout.ranks() == group.size());
}

void ShardGather::start(const ShardLayout::Bucket& bucket) {
  if (group_.size() == 1) return;
  if (bucket.even) {
    const Piece own = layout_.piece(bucket, group_.rank());
    add(group_.start_all_gather(values_.slice(0, own.begin, own.end),
                                values_.slice(0, bucket.begin, bucket.end)));
    return;
  }
  for (int rank = 0; rank < group_.size(); ++rank) {
    const Piece piece = layout_.piece(bucket, rank);
    if (piece.elements() == 0) break;
    add(group_.start_broadcast(values_.slice(0, piece.begin, piece.end), rank));
  }
}

void ShardGather::add(std::unique_ptr<Pending> pending) {
  under_way_.push_back(std::move(pending));
  if (under_way_.size() <= kMostUnderWay) return;
  under_way_.front()->wait();
  under_way_.pop_front();
}

void ShardGather::finish() {
  while (!under_way_.empty()) {
    under_way_.front()->wait();
    under_way_.pop_front();
  }
}

}  // namespace longhaul::dist
