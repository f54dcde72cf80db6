// What the replays of all architectures' blocks have in common (block_memory.h). Private to them.
#pragma once

#include <vector>

#include "kernels/core/memory_tally.h"
#include "model/block_memory.h"
#include "model/config.h"
#include "model/memory_plan.h"

namespace longhaul::model {

class BlockTally : public BlockMemory {
 public:
  using Block = core::MemoryTally::Block;

  /// All three outlive it.
  BlockTally(const ModelConfig& config, const StepExtents& extents, core::MemoryTally& tally)
      : config_(config), extents_(extents), tally_(tally) {}

  int64_t exchange_bytes() const override;

 protected:
  Block rows_of(int64_t width) { return tally_.tensor(extents_.dtype, {extents_.rows(), width}); }
  Block state_rows_of(int64_t width) {
    return tally_.tensor(state_dtype(), {extents_.rows(), width});
  }
  core::DType state_dtype() const { return core::state_dtype(extents_.dtype); }
  int64_t state_elements() const { return extents_.batch * config_.inner() * config_.state_dim; }
  Block state() { return tally_.tensor(state_dtype(), {state_elements()}); }
  Block log_decays() {
    return tally_.tensor(state_dtype(), {extents_.batch, config_.log_decays()});
  }
  /// Buffers of an exchange of states, in use until it is finished.
  std::vector<Block> exchange(bool forward);
  void row_sums(int64_t width);
  /// Of SegmentConvolution; `exchanges`: halos travel.
  void convolution(bool exchanges);
  void convolution_backward();

  const ModelConfig& config_;
  const StepExtents& extents_;
  core::MemoryTally& tally_;

 private:
  int64_t halo_bytes() const;
  std::vector<int64_t> exchange_buffers(bool forward) const;
  std::vector<int64_t> halo_buffers() const;
};

}  // namespace longhaul::model
