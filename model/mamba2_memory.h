// The allocations of a Mamba-2 block, replayed: forward and backward of mamba2_block*.cpp line by
// line, without data. A change there is a change here; tests compare the two.
#pragma once

#include <memory>
#include <vector>

#include "kernels/core/memory_tally.h"
#include "model/block_memory.h"
#include "model/config.h"
#include "model/memory_plan.h"

namespace longhaul::model {

/// Tokens of a chunk as blocks run them and their memory is planned: kernels::ssd_best_chunk.
int64_t mamba2_chunk(const ModelConfig& config, core::DeviceKind device, core::DType dtype);

class Mamba2Memory final : public BlockMemory {
 public:
  using Block = core::MemoryTally::Block;

  Mamba2Memory(const ModelConfig& config, const StepExtents& extents, core::MemoryTally& tally)
      : config_(config), extents_(extents), tally_(tally) {}

  /// Names as in Mamba2Activations.
  struct Activations final : Kept {
    Block normed, rstd, zxbcdt, xBC, dt, y, chunk_states, log_decay, gated, gated_rstd,
        entering_ssm, halo, residual_mid, normed2, rstd2, fc1_out, gate_out;
  };
  std::unique_ptr<Kept> forward(bool keep, bool exchanges) override;
  void backward(Kept& kept) override;
  int64_t exchange_bytes() const override;

 private:
  Block rows_of(int64_t width) { return tally_.tensor(extents_.dtype, {extents_.rows(), width}); }
  Block state_rows_of(int64_t width) {
    return tally_.tensor(state_dtype(), {extents_.rows(), width});
  }
  core::DType state_dtype() const { return core::state_dtype(extents_.dtype); }
  core::Shape state_shape() const;
  int64_t halo_bytes() const;
  std::vector<int64_t> exchange(bool forward) const;
  void scan(Activations& act, bool keep, bool exchanges);
  void mlp_forward(Activations& act);
  void mlp_backward(Activations& act);
  void scan_backward(Block& dxBC, Block& ddt);
  void row_sums(int64_t width);

  const ModelConfig& config_;
  const StepExtents& extents_;
  core::MemoryTally& tally_;
};

}  // namespace longhaul::model
