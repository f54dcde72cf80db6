#include "dist/gradient_reducer.h"

#include <glog/logging.h>

#include <algorithm>

namespace longhaul::dist {

GradientReducer::GradientReducer(Communicator& group, core::TensorView gradients,
                                 int64_t bucket_bytes)
    : group_(group), gradients_(gradients) {
  CHECK(gradients.rank() == 1 && gradients.is_contiguous());
  CHECK_GT(bucket_bytes, 0);
  const int64_t step = std::max<int64_t>(1, bucket_bytes / core::size_of(gradients.dtype()));
  for (int64_t end = gradients.elements(); end > 0; end -= step) {
    Bucket bucket;
    bucket.begin = std::max<int64_t>(0, end - step);
    bucket.end = end;
    buckets_.push_back(std::move(bucket));
  }
  begin_step();
}

GradientReducer::GradientReducer(Communicator& group, core::TensorView gradients,
                                 const ShardLayout& layout)
    : group_(group), gradients_(gradients) {
  CHECK(gradients.rank() == 1 && gradients.is_contiguous());
  CHECK(layout.elements() == gradients.elements() && layout.ranks() == group.size());
  for (auto bucket = layout.buckets().rbegin(); bucket != layout.buckets().rend(); ++bucket) {
    Bucket own;
    own.begin = bucket->begin;
    own.end = bucket->end;
    own.scatters = bucket->even && group.size() > 1;
    buckets_.push_back(std::move(own));
  }
  begin_step();
}

void GradientReducer::begin_step() {
  CHECK_EQ(oldest_, next_) << "begin_step before finish";
  oldest_ = next_ = 0;
  for (Bucket& bucket : buckets_) bucket.missing = bucket.end - bucket.begin;
}

void GradientReducer::ready(int64_t begin, int64_t end) {
  CHECK(begin >= 0 && begin <= end && end <= gradients_.elements());
  auto bucket = std::partition_point(buckets_.begin(), buckets_.end(),
                                     [&](const Bucket& each) { return each.begin >= end; });
  for (; bucket != buckets_.end() && bucket->end > begin; ++bucket) {
    bucket->missing -=
        std::max<int64_t>(0, std::min(end, bucket->end) - std::max(begin, bucket->begin));
    CHECK_GE(bucket->missing, 0) << "elements announced twice in [" << begin << ", " << end << ")";
  }
  start_complete_buckets();
  // Testing one operation advances all that are under way on this rank.
  if (next_ > oldest_) buckets_[next_ - 1].pending->test();
}

void GradientReducer::start_complete_buckets() {
  for (; next_ < buckets_.size() && buckets_[next_].missing == 0; ++next_) {
    if (next_ - oldest_ == size_t{kMostUnderWay}) wait_for_oldest();
    buckets_[next_].pending = start(buckets_[next_]);
  }
}

void GradientReducer::wait_for_oldest() {
  Bucket& bucket = buckets_[oldest_];
  bucket.pending->wait();
  bucket.pending.reset();
  ++oldest_;
}

// An uneven bucket is small: everybody receives all of it.
std::unique_ptr<Pending> GradientReducer::start(const Bucket& bucket) {
  const core::TensorView full = gradients_.slice(0, bucket.begin, bucket.end);
  if (!bucket.scatters) return group_.start_all_reduce_sum(full);
  const int64_t piece = full.elements() / group_.size();
  const core::TensorView own = full.slice(0, group_.rank() * piece, (group_.rank() + 1) * piece);
  return group_.start_reduce_scatter_sum(full, own);
}

void GradientReducer::finish() {
  CHECK(buckets_.empty() || oldest_ < buckets_.size()) << "finish twice in one step";
  for (Bucket& bucket : buckets_) bucket.missing = 0;
  start_complete_buckets();
  while (oldest_ < next_) wait_for_oldest();
}

}  // namespace longhaul::dist
