#include "model/mamba1_memory.h"

#include <vector>

#include "kernels/selective_scan/selective_scan.h"

namespace longhaul::model {

kernels::ScanExtents Mamba1Memory::scan_extents() const {
  return {.device = extents_.device,
          .batch = extents_.batch,
          .length = extents_.length,
          .channels = config_.inner(),
          .state = config_.state_dim,
          .dtype = extents_.dtype,
          .threads = extents_.threads};
}

std::unique_ptr<BlockMemory::Kept> Mamba1Memory::forward(bool keep, bool exchanges) {
  auto kept = std::make_unique<Activations>();
  Activations& act = *kept;
  act.normed = rows_of(config_.width);
  act.rstd = state_rows_of(1);
  act.x = rows_of(config_.inner());
  act.convolved = rows_of(config_.inner());
  convolution(exchanges);
  act.dtBC = rows_of(projected());
  act.dt = rows_of(config_.inner());
  scan(act, keep, exchanges);
  act.gated = rows_of(config_.inner());
  if (!keep) kept.reset();
  return kept;
}

void Mamba1Memory::scan(Activations& act, bool keep, bool exchanges) {
  if (keep) {
    act.chunk_states =
        tally_.tensor(state_dtype(), {extents_.batch, kernels::scan_chunks(extents_.length),
                                      config_.inner(), config_.state_dim});
  }
  if (extents_.is_parallel() && (keep || exchanges)) act.log_decay = log_decays();
  act.y = rows_of(config_.inner());
  Block arriving;
  if (exchanges) {
    arriving = state();
    const Block from_zero = state();
    tally_.op(kernels::selective_scan_map_workspace(scan_extents()));
    const std::vector<Block> under_way = exchange(true);
    act.z = rows_of(config_.inner());
    if (!extents_.full_gradient) act.log_decay.release();
  } else {
    act.z = rows_of(config_.inner());
  }
  tally_.op(kernels::selective_scan_forward_workspace(scan_extents()));
}

void Mamba1Memory::backward(Kept& kept) {
  auto& act = static_cast<Activations&>(kept);
  Block dnormed, dz, dy, dconvolved, ddtBC, ddt;
  {
    const Block dgated = rows_of(config_.inner());
    if (config_.linear_bias) row_sums(config_.width);
    act.gated.release();
    dy = rows_of(config_.inner());
    dz = rows_of(config_.inner());
    act.y.release();
    act.z.release();
  }
  scan_backward(act, dnormed, dz, dy, dconvolved, ddtBC, ddt);
  ddt.release();
  act.dtBC.release();
  ddtBC.release();
  act.convolved.release();
  {
    const Block dx = rows_of(config_.inner());
    convolution_backward();
    dconvolved.release();
    act.x.release();
    if (config_.linear_bias) row_sums(config_.inner());
  }
  row_sums(config_.width);
}

void Mamba1Memory::scan_backward(Activations& act, Block& dnormed, Block& dz, Block& dy,
                                 Block& dconvolved, Block& ddtBC, Block& ddt) {
  dnormed = rows_of(config_.width);
  Block arriving;
  const bool exchanges = extents_.is_parallel() && extents_.full_gradient;
  {
    Block from_zero;
    std::vector<Block> under_way;
    if (exchanges) {
      arriving = state();
      from_zero = state();
      tally_.op(kernels::selective_scan_backward_map_workspace(scan_extents()));
      under_way = exchange(false);
    }
    if (config_.linear_bias) row_sums(config_.inner());
    dz.release();
  }
  dconvolved = rows_of(config_.inner());
  ddtBC = rows_of(projected());
  ddt = rows_of(config_.inner());
  tally_.op(kernels::selective_scan_backward_workspace(scan_extents()));
  dy.release();
  act.chunk_states.release();
  act.dt.release();
}

}  // namespace longhaul::model
