// The allocations of a Mamba-2 block, replayed: forward and backward of mamba2_block*.cpp line by
// line, without data. A change there is a change here; tests compare the two.
#pragma once

#include <memory>

#include "model/block_tally.h"

namespace longhaul::model {

/// Tokens of a chunk as blocks run them and their memory is planned: kernels::ssd_best_chunk.
int64_t mamba2_chunk(const ModelConfig& config, core::DeviceKind device, core::DType dtype);

class Mamba2Memory final : public BlockTally {
 public:
  using BlockTally::BlockTally;

  /// Names as in Mamba2Activations.
  struct Activations final : Kept {
    Block normed, rstd, zxbcdt, xBC, dt, y, chunk_states, log_decay, gated, gated_rstd,
        residual_mid, normed2, rstd2, fc1_out, gate_out;
  };
  std::unique_ptr<Kept> forward(bool keep, bool exchanges) override;
  void backward(Kept& kept) override;

 private:
  void scan(Activations& act, bool keep, bool exchanges);
  void mlp_forward(Activations& act);
  void mlp_backward(Activations& act);
  void scan_backward(Block& dxBC, Block& ddt);
};

}  // namespace longhaul::model
