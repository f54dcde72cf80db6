#include "dist/shard_gather.h"

#include <glog/logging.h>

#include <utility>

namespace longhaul::dist {

namespace {

constexpr size_t kMostUnderWay = 16;  // keeps the number of messages in the machine bounded

}  // namespace

ShardGather::ShardGather(Communicator& group, core::TensorView values, const ShardLayout& layout,
                         Padding padding)
    : group_(group), values_(values), layout_(layout), padding_(std::move(padding)) {
  CHECK(values.rank() == 1 && values.is_contiguous());
  CHECK(layout.elements() == values.elements() && layout.ranks() == group.size());
  if (layout.padded() == 0) return;
  CHECK(padding_.memory.dtype() == values.dtype() && padding_.copy);
  CHECK_EQ(padding_.memory.elements(), layout.padded());
}

void ShardGather::start(const ShardLayout::Bucket& bucket) {
  if (group_.size() == 1) return;
  if (!bucket.even) return start_padded(bucket);
  const Piece own = layout_.piece(bucket, group_.rank());
  add(group_.start_all_gather(values_.slice(0, own.begin, own.end),
                              values_.slice(0, bucket.begin, bucket.end)));
}

/// What lies behind the pieces of the last ranks is of no use, whatever it is.
void ShardGather::start_padded(const ShardLayout::Bucket& bucket) {
  const Piece own = layout_.piece(bucket, group_.rank());
  const int64_t begin = group_.rank() * bucket.piece;
  if (own.elements() > 0) {
    padding_.copy(values_.slice(0, own.begin, own.end),
                  padding_.memory.slice(0, begin, begin + own.elements()));
  }
  add(group_.start_all_gather(padding_.memory.slice(0, begin, begin + bucket.piece),
                              padding_.memory));
  is_padded_ = true;
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
  if (!std::exchange(is_padded_, false)) return;
  const ShardLayout::Bucket& last = layout_.buckets().back();
  padding_.copy(padding_.memory.slice(0, 0, last.end - last.begin),
                values_.slice(0, last.begin, last.end));
}

}  // namespace longhaul::dist
