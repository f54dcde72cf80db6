// The memory of a training step or of a forward pass, known before anything is allocated: the
// allocations of LanguageModel, replayed.
#pragma once

#include <cstdint>
#include <vector>

#include "dist/state_exchange.h"
#include "kernels/core/device.h"
#include "kernels/core/dtype.h"
#include "kernels/core/memory_tally.h"
#include "model/config.h"
#include "model/recurrent_state.h"

namespace longhaul::model {

/// One forward and backward pass as one rank sees it.
struct StepExtents {
  core::DeviceKind device = core::DeviceKind::kCpu;
  core::DType dtype = core::DType::kF32;
  int64_t batch = 1, length = 1;  ///< of this rank's segment
  bool recompute = false;
  int threads = 1;
  // Sequence parallelism; sequence_ranks 1: none.
  int sequence_ranks = 1, sequence_rank = 0;
  dist::ExchangeAlgorithm exchange = dist::ExchangeAlgorithm::kAllGather;
  bool full_gradient = true;

  bool is_parallel() const { return sequence_ranks > 1; }
  int64_t rows() const { return batch * length; }
};

/// Tensors of RecurrentState.
std::vector<core::MemoryTally::Block> plan_state(const ModelConfig& config, core::DType dtype,
                                                 int64_t batch, core::MemoryTally& tally);

/// Bytes that stand out in a step.
struct StepMemory {
  int64_t kept = 0;      ///< activations between forward and backward, the residual stream included
  int64_t loss = 0;      ///< the block of logits
  int64_t exchange = 0;  ///< buffers of one exchange of states and of its halo
};
StepMemory plan_step(const ModelConfig& config, const StepExtents& extents,
                     core::MemoryTally& tally);

/// LanguageModel::forward with labels: nothing is kept.
void plan_forward(const ModelConfig& config, const StepExtents& extents, core::MemoryTally& tally);

}  // namespace longhaul::model
