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
  next_ = 0;
  for (Bucket& bucket : buckets_) {
    CHECK(!bucket.pending) << "begin_step before finish";
    bucket.missing = bucket.end - bucket.begin;
  }
}

void GradientReducer::ready(int64_t begin, int64_t end) {
  CHECK(begin >= 0 && begin <= end && end <= gradients_.elements());
  for (Bucket& bucket : buckets_) {
    bucket.missing -=
        std::max<int64_t>(0, std::min(end, bucket.end) - std::max(begin, bucket.begin));
    CHECK_GE(bucket.missing, 0) << "elements announced twice in [" << begin << ", " << end << ")";
  }
  start_complete_buckets();
  // Testing one operation advances all that are under way on this rank.
  if (next_ > 0) buckets_[next_ - 1].pending->test();
}

void GradientReducer::start_complete_buckets() {
  for (; next_ < buckets_.size() && buckets_[next_].missing == 0; ++next_) {
    Bucket& bucket = buckets_[next_];
    bucket.pending = start(bucket);
  }
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
  for (Bucket& bucket : buckets_) bucket.missing = 0;
  start_complete_buckets();
  for (Bucket& bucket : buckets_) {
    CHECK(bucket.pending) << "finish twice in one step";
    bucket.pending->wait();
    bucket.pending.reset();
  }
}

}  // namespace longhaul::dist
