// All that the rest of the system asks of an architecture. Behind these functions lie
// model/mamba2_* and model/mamba1_*, which nobody else includes.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "dist/state_exchange.h"
#include "kernels/core/memory_tally.h"
#include "model/block.h"
#include "model/block_memory.h"
#include "model/config.h"
#include "model/memory_plan.h"
#include "model/parameters.h"
#include "model/recurrent_state.h"

namespace longhaul::model {

/// Names, shapes and decay of a model's parameters, in the order ParameterSet asks for. Names are
/// transformers' ("backbone.embeddings.weight"); those that transformers lacks are the original
/// program's. The config must be valid (its rules, validate(), and a vocabulary of at least 1).
std::vector<Parameter> parameters_of(const ModelConfig& config);

/// States of a layer, and of a whole model: layer after layer.
std::vector<StateSpec> state_specs_of_layer(const ModelConfig& config, int64_t layer);
std::vector<StateSpec> state_specs_of(const ModelConfig& config);

/// What dist::cheapest_exchange goes by for fp32 states of `rows` sequences.
dist::ExchangeQuestion exchange_question(const ModelConfig& config, int64_t rows, int ranks,
                                         bool free_messages);

/// Layer `layer` of a model with these parameters, which outlive it.
std::unique_ptr<Block> make_block(const ModelConfig& config, int64_t layer,
                                  ParameterSet& parameters);

/// Tallies what the blocks of make_block allocate; all three arguments outlive it.
std::unique_ptr<BlockMemory> make_block_memory(const ModelConfig& config,
                                               const StepExtents& extents,
                                               core::MemoryTally& tally);

/// Bytes of a GPU's shared memory that one block of threads of its kernels needs; 0 on the CPU.
int64_t shared_bytes_needed(const ModelConfig& config, core::DeviceKind device, core::DType dtype);

}  // namespace longhaul::model
