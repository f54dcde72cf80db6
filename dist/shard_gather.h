// Gives every rank the pieces of a flat buffer that others have updated, bucket by bucket.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <utility>

#include "dist/communicator.h"
#include "dist/shard_layout.h"

namespace longhaul::dist {

/// In place. All ranks start the same buckets in the same order; a bucket's own piece must be final
/// when it is started, and computation on other buckets may run while it travels.
class ShardGather {
 public:
  /// The last bucket, which has no even pieces, travels through memory in which it has.
  struct Padding {
    core::TensorView memory;  ///< layout.padded() elements beside `values`
    std::function<void(const core::TensorView& source, const core::TensorView& target)> copy;
  };
  /// `group` and `layout` must outlive this.
  ShardGather(Communicator& group, core::TensorView values, const ShardLayout& layout,
              Padding padding);

  void start(const ShardLayout::Bucket& bucket);
  void finish();

 private:
  void start_padded(const ShardLayout::Bucket& bucket);
  void add(std::unique_ptr<Pending> pending);

  Communicator& group_;
  core::TensorView values_;
  const ShardLayout& layout_;
  Padding padding_;
  bool is_padded_ = false;  // the last bucket is under way
  std::deque<std::unique_ptr<Pending>> under_way_;
};

}  // namespace longhaul::dist
