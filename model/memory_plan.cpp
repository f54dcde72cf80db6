#include "model/memory_plan.h"

#include <numeric>
#include <utility>

#include "kernels/workspace.h"
#include "model/mamba2_block.h"
#include "model/mamba2_memory.h"

namespace longhaul::model {

using core::MemoryTally;

std::vector<StateSpec> state_specs_of(const ModelConfig& config) {
  std::vector<StateSpec> specs;
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    for (StateSpec& spec : mamba2_state_specs(config, layer)) specs.push_back(std::move(spec));
  }
  return specs;
}

std::vector<MemoryTally::Block> plan_state(const ModelConfig& config, core::DType dtype,
                                           int64_t batch, MemoryTally& tally) {
  std::vector<MemoryTally::Block> blocks;
  for (const StateSpec& spec : state_specs_of(config)) {
    blocks.push_back(tally.tensor(core::state_dtype(dtype), spec.shape.with_front(batch)));
  }
  return blocks;
}

StepMemory plan_step(const ModelConfig& config, const StepExtents& extents, MemoryTally& tally) {
  const core::DType wide = config.residual_dtype(extents.dtype);
  const core::Shape rows{extents.rows(), config.width};
  const auto residual = [&] { return tally.tensor(wide, rows); };
  Mamba2Memory block(config, extents, tally);
  const int64_t before = tally.in_use();

  // run_blocks
  std::vector<MemoryTally::Block> entering;
  if (extents.is_parallel()) entering = plan_state(config, extents.dtype, extents.batch, tally);
  const int64_t states = tally.in_use() - before;
  std::vector<MemoryTally::Block> stream;
  std::vector<Mamba2Memory::Kept> kept;
  stream.push_back(residual());
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    MemoryTally::Block next = residual();
    kept.push_back(block.forward(!extents.recompute, extents.is_parallel()));
    stream.push_back(std::move(next));
  }
  StepMemory memory{
      .kept = tally.in_use() - before - states, .loss = 0, .exchange = block.exchange_bytes()};

  const MemoryTally::Block dresidual = tally.tensor(extents.dtype, rows);
  {
    // backward_of_head
    const MemoryTally::Block hidden = tally.tensor(extents.dtype, rows);
    const auto rstd = tally.tensor(core::state_dtype(extents.dtype), {extents.rows()});
    const MemoryTally::Block dhidden = tally.tensor(extents.dtype, rows);
    const auto loss = kernels::linear_cross_entropy_workspace(extents.device, extents.rows(),
                                                              config.vocabulary, extents.dtype);
    memory.loss = std::accumulate(loss.begin(), loss.end(), int64_t{0});
    tally.op(loss);
    tally.op(
        kernels::row_sums_workspace(extents.device, extents.rows(), config.width, extents.dtype));
    stream.pop_back();
  }
  for (int64_t layer = config.layers; layer-- > 0;) {
    // backward_of_block
    auto& own = kept[static_cast<size_t>(layer)];
    if (extents.recompute) {
      const MemoryTally::Block output = residual();
      own = block.forward(true, false);
    }
    block.backward(own);
    own = {};
    stream.pop_back();
  }
  tally.op(kernels::embedding_backward_workspace(extents.device, extents.rows()));
  return memory;
}

}  // namespace longhaul::model
