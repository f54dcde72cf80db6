#include "model/memory_plan.h"

#include <memory>
#include <numeric>
#include <utility>

#include "kernels/workspace.h"
#include "model/architecture.h"
#include "model/retention.h"

namespace longhaul::model {

using core::MemoryTally;

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
  const auto block = make_block_memory(config, extents, tally);
  const int64_t before = tally.in_use();

  // run_blocks
  std::vector<MemoryTally::Block> entering;
  if (extents.is_parallel()) entering = plan_state(config, extents.dtype, extents.batch, tally);
  const int64_t states = tally.in_use() - before;
  const Retention retention =
      retention_of(config, extents.device, extents.dtype, extents.recompute);
  std::vector<MemoryTally::Block> stream;
  std::vector<std::unique_ptr<BlockMemory::Kept>> kept(static_cast<size_t>(config.layers));
  stream.push_back(residual());
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    MemoryTally::Block next = residual();
    const bool keeps = retention.keeps_activations(layer);
    kept[static_cast<size_t>(layer)] = block->forward(keeps, extents.is_parallel());
    if (!retention.keeps_input(layer)) stream.back().release();
    stream.push_back(std::move(next));
  }
  StepMemory memory{
      .kept = tally.in_use() - before - states, .loss = 0, .exchange = block->exchange_bytes()};

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
    if (!kept[static_cast<size_t>(layer)]) {
      // run_again
      for (int64_t again = retention.begin_of(layer); again <= layer; ++again) {
        MemoryTally::Block output = residual();
        kept[static_cast<size_t>(again)] = block->forward(true, false);
        if (again < layer) stream[static_cast<size_t>(again) + 1] = std::move(output);
      }
    }
    // backward_of_block
    block->backward(*kept[static_cast<size_t>(layer)]);
    kept[static_cast<size_t>(layer)].reset();
    stream.pop_back();
  }
  tally.op(kernels::embedding_backward_workspace(extents.device, extents.rows()));
  return memory;
}

void plan_forward(const ModelConfig& config, const StepExtents& extents, MemoryTally& tally) {
  const core::Shape rows{extents.rows(), config.width};
  const auto residual = [&] { return tally.tensor(config.residual_dtype(extents.dtype), rows); };
  const auto block = make_block_memory(config, extents, tally);
  MemoryTally::Block stream = residual();
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    MemoryTally::Block next = residual();
    block->forward(false, extents.is_parallel());
    stream = std::move(next);
  }
  const MemoryTally::Block hidden = tally.tensor(extents.dtype, rows);
  const auto rstd = tally.tensor(core::state_dtype(extents.dtype), {extents.rows()});
  tally.op(kernels::linear_cross_entropy_workspace(extents.device, extents.rows(),
                                                   config.vocabulary, extents.dtype));
}

}  // namespace longhaul::model
