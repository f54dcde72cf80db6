// The allocations of a Mamba-1 block, replayed: forward and backward of mamba1_block*.cpp line by
// line, without data. A change there is a change here; tests compare the two.
#pragma once

#include <memory>

#include "kernels/workspace.h"
#include "model/block_tally.h"

namespace longhaul::model {

class Mamba1Memory final : public BlockTally {
 public:
  using BlockTally::BlockTally;

  /// Names as in Mamba1Activations.
  struct Activations final : Kept {
    Block normed, rstd, x, z, convolved, dtBC, dt, y, chunk_states, log_decay, gated;
  };
  std::unique_ptr<Kept> forward(bool keep, bool exchanges) override;
  void backward(Kept& kept) override;

 private:
  void scan(Activations& act, bool keep, bool exchanges);
  void scan_backward(Activations& act, Block& dnormed, Block& dz, Block& dy, Block& dconvolved,
                     Block& ddtBC, Block& ddt);
  kernels::ScanExtents scan_extents() const;
  int64_t projected() const { return config_.time_step_rank() + 2 * config_.state_dim; }
};

}  // namespace longhaul::model
