// Gives every rank the pieces of a flat buffer that others have updated, bucket by bucket.
#pragma once

#include <deque>
#include <memory>

#include "dist/communicator.h"
#include "dist/shard_layout.h"

namespace longhaul::dist {

/// In place. All ranks start the same buckets in the same order; a bucket's own piece must be final
/// when it is started, and computation on other buckets may run while it travels.
class ShardGather {
 public:
  /// `group` and `layout` must outlive this.
  ShardGather(Communicator& group, core::TensorView values, const ShardLayout& layout);

  void start(const ShardLayout::Bucket& bucket);
  void finish();

 private:
  void add(std::unique_ptr<Pending> pending);

  Communicator& group_;
  core::TensorView values_;
  const ShardLayout& layout_;
  std::deque<std::unique_ptr<Pending>> under_way_;
};

}  // namespace longhaul::dist
