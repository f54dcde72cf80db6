#include "model/mamba2_memory.h"

#include <utility>

#include "kernels/ssd/ssd.h"
#include "kernels/workspace.h"

namespace longhaul::model {

namespace {

kernels::SsdExtents ssd_extents(const ModelConfig& config, const StepExtents& extents,
                                bool scratch_given, bool map) {
  return {.device = extents.device,
          .batch = extents.batch,
          .length = extents.length,
          .heads = config.heads,
          .head_dim = config.head_dim,
          .groups = config.groups,
          .state = config.state_dim,
          .chunk = mamba2_chunk(config, extents.device, extents.dtype),
          .dtype = extents.dtype,
          .threads = extents.threads,
          .scratch_given = scratch_given,
          .map = map};
}

}  // namespace

int64_t mamba2_chunk(const ModelConfig& config, core::DeviceKind device, core::DType dtype) {
  return kernels::ssd_best_chunk(device, dtype, config.head_dim, config.state_dim, config.chunk);
}

std::unique_ptr<BlockMemory::Kept> Mamba2Memory::forward(bool keep, bool exchanges) {
  auto kept = std::make_unique<Activations>();
  Activations& act = *kept;
  act.normed = rows_of(config_.width);
  act.rstd = state_rows_of(1);
  act.zxbcdt = rows_of(config_.in_projection());
  act.xBC = rows_of(config_.conv_channels());
  convolution(exchanges);
  act.dt = state_rows_of(config_.heads);
  act.y = rows_of(config_.inner());
  scan(act, keep, exchanges);
  act.gated = rows_of(config_.inner());
  act.gated_rstd = state_rows_of(config_.groups);
  if (config_.mlp_width > 0) {
    act.residual_mid =
        tally_.tensor(config_.residual_dtype(extents_.dtype), {extents_.rows(), config_.width});
    mlp_forward(act);
  }
  if (!keep) kept.reset();
  return kept;
}

void Mamba2Memory::scan(Activations& act, bool keep, bool exchanges) {
  const bool has_map = extents_.is_parallel() && (keep || exchanges);
  if (extents_.length == 1 && !keep && !exchanges) return;  // the plain step
  if (keep || exchanges) {
    const int64_t chunks = kernels::ssd_chunks(
        extents_.length, mamba2_chunk(config_, extents_.device, extents_.dtype));
    act.chunk_states = tally_.tensor(extents_.dtype, {extents_.batch, chunks, config_.heads,
                                                      config_.head_dim, config_.state_dim});
  }
  Block from_zero, arriving;
  std::vector<Block> under_way;
  if (has_map) {
    act.log_decay = log_decays();
    from_zero = state();
    if (exchanges) {
      arriving = state();
      under_way = exchange(true);
    }
  }
  tally_.op(
      kernels::ssd_forward_workspace(ssd_extents(config_, extents_, keep || exchanges, has_map)));
}

void Mamba2Memory::mlp_forward(Activations& act) {
  act.normed2 = rows_of(config_.width);
  act.rstd2 = state_rows_of(1);
  act.fc1_out = rows_of(2 * config_.mlp_width);
  act.gate_out = rows_of(config_.mlp_width);
}

void Mamba2Memory::backward(Kept& kept) {
  auto& act = static_cast<Activations&>(kept);
  if (config_.mlp_width > 0) mlp_backward(act);
  Block dzxbcdt, dy, dxBC, ddt;
  {
    const Block dgated = rows_of(config_.inner());
    if (config_.linear_bias) row_sums(config_.width);
    act.gated.release();
    dzxbcdt = rows_of(config_.in_projection());
    dy = rows_of(config_.inner());
    row_sums(config_.inner());
    act.y.release();
  }
  scan_backward(dxBC, ddt);
  dy.release();
  act.chunk_states.release();
  row_sums(config_.heads);
  convolution_backward();
  dxBC.release();
  act.xBC.release();
  const Block dnormed = rows_of(config_.width);
  if (config_.linear_bias) row_sums(config_.in_projection());
  row_sums(config_.width);
}

void Mamba2Memory::mlp_backward(Activations& act) {
  const Block dgate_out = rows_of(config_.mlp_width);
  const Block dfc1_out = rows_of(2 * config_.mlp_width);
  const Block dnormed2 = rows_of(config_.width);
  row_sums(config_.width);
  for (Block* block : {&act.residual_mid, &act.normed2, &act.fc1_out, &act.gate_out}) {
    block->release();
  }
}

void Mamba2Memory::scan_backward(Block& dxBC, Block& ddt) {
  dxBC = rows_of(config_.conv_channels());
  ddt = state_rows_of(config_.heads);
  std::vector<Block> staged;
  if (extents_.is_parallel() && extents_.full_gradient) {
    staged.push_back(state());  // from zero
    staged.push_back(state());  // arriving
    const int64_t chunks = kernels::ssd_chunks(
        extents_.length, mamba2_chunk(config_, extents_.device, extents_.dtype));
    staged.push_back(tally_.tensor(extents_.dtype, {extents_.batch, chunks, config_.heads,
                                                    config_.head_dim, config_.state_dim}));
    for (Block& block : exchange(false)) staged.push_back(std::move(block));
  }
  const bool is_staged = !staged.empty();
  tally_.op(kernels::ssd_backward_workspace(ssd_extents(config_, extents_, is_staged, is_staged)));
}

}  // namespace longhaul::model
