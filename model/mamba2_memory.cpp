#include "model/mamba2_memory.h"

#include <numeric>
#include <utility>

#include "dist/exchange_workspace.h"
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

std::vector<core::MemoryTally::Block> hold(core::MemoryTally& tally,
                                           const std::vector<int64_t>& bytes) {
  std::vector<core::MemoryTally::Block> blocks;
  for (const int64_t each : bytes) blocks.emplace_back(tally, each);
  return blocks;
}

}  // namespace

int64_t mamba2_chunk(const ModelConfig& config, core::DeviceKind device, core::DType dtype) {
  return kernels::ssd_best_chunk(device, dtype, config.head_dim, config.state_dim, config.chunk);
}

core::Shape Mamba2Memory::state_shape() const {
  return {extents_.batch, config_.heads, config_.head_dim, config_.state_dim};
}

int64_t Mamba2Memory::halo_bytes() const {
  return extents_.batch * (config_.conv_width - 1) * config_.conv_channels() *
         core::size_of(state_dtype());
}

std::vector<int64_t> Mamba2Memory::exchange(bool forward) const {
  const int last = extents_.sequence_ranks - 1;
  return dist::exchange_workspace(
      {.algorithm = extents_.exchange,
       .ranks = extents_.sequence_ranks,
       .position = forward ? extents_.sequence_rank : last - extents_.sequence_rank,
       .boundary = forward,
       .log_decays = extents_.batch * config_.heads,
       .elements = state_shape().elements(),
       .dtype = state_dtype()});
}

int64_t Mamba2Memory::exchange_bytes() const {
  if (!extents_.is_parallel()) return 0;
  const auto states = exchange(true);
  const auto halo =
      dist::halo_workspace(extents_.sequence_ranks, extents_.sequence_rank, halo_bytes());
  return std::accumulate(states.begin(), states.end(), int64_t{0}) +
         std::accumulate(halo.begin(), halo.end(), int64_t{0});
}

void Mamba2Memory::row_sums(int64_t width) {
  tally_.op(kernels::row_sums_workspace(extents_.device, extents_.rows(), width, extents_.dtype));
}

std::unique_ptr<BlockMemory::Kept> Mamba2Memory::forward(bool keep, bool exchanges) {
  auto kept = std::make_unique<Activations>();
  Activations& act = *kept;
  act.normed = rows_of(config_.width);
  act.rstd = state_rows_of(1);
  act.zxbcdt = rows_of(config_.in_projection());
  if (exchanges) {
    act.halo = Block(tally_, halo_bytes());
    tally_.op(dist::halo_workspace(extents_.sequence_ranks, extents_.sequence_rank, halo_bytes()));
  }
  act.xBC = rows_of(config_.conv_channels());
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
  Block from_zero;
  std::vector<Block> under_way;
  if (has_map) {
    act.log_decay = tally_.tensor(state_dtype(), {extents_.batch, config_.heads});
    act.entering_ssm = tally_.tensor(state_dtype(), state_shape());
    from_zero = tally_.tensor(state_dtype(), state_shape());
    if (exchanges) under_way = hold(tally_, exchange(true));
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
  {
    const bool exchanges = extents_.is_parallel() && extents_.full_gradient;
    const Block dhalo = exchanges ? Block(tally_, halo_bytes()) : Block();
    tally_.op(kernels::conv1d_backward_workspace({.device = extents_.device,
                                                  .batch = extents_.batch,
                                                  .length = extents_.length,
                                                  .channels = config_.conv_channels(),
                                                  .taps = config_.conv_width,
                                                  .dtype = extents_.dtype}));
    if (exchanges) {
      tally_.op(
          dist::halo_workspace(extents_.sequence_ranks, extents_.sequence_rank, halo_bytes()));
    }
    dxBC.release();
    act.xBC.release();
  }
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
    staged.push_back(tally_.tensor(state_dtype(), state_shape()));  // from zero
    staged.push_back(tally_.tensor(state_dtype(), state_shape()));  // arriving
    const int64_t chunks = kernels::ssd_chunks(
        extents_.length, mamba2_chunk(config_, extents_.device, extents_.dtype));
    staged.push_back(tally_.tensor(extents_.dtype, {extents_.batch, chunks, config_.heads,
                                                    config_.head_dim, config_.state_dim}));
    for (Block& block : hold(tally_, exchange(false))) staged.push_back(std::move(block));
  }
  const bool is_staged = !staged.empty();
  tally_.op(kernels::ssd_backward_workspace(ssd_extents(config_, extents_, is_staged, is_staged)));
}

}  // namespace longhaul::model
