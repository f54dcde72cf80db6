#include "model/architecture.h"

#include <string>
#include <utility>

#include "kernels/selective_scan/selective_scan.h"
#include "kernels/ssd/ssd.h"
#include "model/mamba1_block.h"
#include "model/mamba1_memory.h"
#include "model/mamba1_parameters.h"
#include "model/mamba2_block.h"
#include "model/mamba2_memory.h"
#include "model/mamba2_parameters.h"

namespace longhaul::model {

std::vector<Parameter> parameters_of(const ModelConfig& config) {
  std::vector<Parameter> list{{"backbone.embeddings.weight", {config.vocabulary, config.width}}};
  const auto append_layer = config.is_mamba1() ? append_mamba1_layer : append_mamba2_layer;
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    append_layer(config, "backbone.layers." + std::to_string(layer) + ".", list);
  }
  list.push_back({"backbone.norm_f.weight", {config.width}, false});
  if (!config.tied) list.push_back({"lm_head.weight", {config.vocabulary, config.width}});
  return list;
}

std::vector<StateSpec> state_specs_of_layer(const ModelConfig& config, int64_t layer) {
  return config.is_mamba1() ? mamba1_state_specs(config, layer) : mamba2_state_specs(config, layer);
}

std::vector<StateSpec> state_specs_of(const ModelConfig& config) {
  std::vector<StateSpec> specs;
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    for (StateSpec& spec : state_specs_of_layer(config, layer)) specs.push_back(std::move(spec));
  }
  return specs;
}

dist::ExchangeQuestion exchange_question(const ModelConfig& config, int64_t rows, int ranks,
                                         bool free_messages) {
  const int64_t of_number = rows * core::size_of(core::DType::kF32);
  return {.ranks = ranks,
          .state_bytes = largest_state(state_specs_of(config)) * of_number,
          .log_decay_bytes = config.log_decays() * of_number,
          .free_messages = free_messages};
}

std::unique_ptr<Block> make_block(const ModelConfig& config, int64_t layer,
                                  ParameterSet& parameters) {
  if (config.is_mamba1()) return std::make_unique<Mamba1Block>(config, layer, parameters);
  return std::make_unique<Mamba2Block>(config, layer, parameters);
}

std::unique_ptr<BlockMemory> make_block_memory(const ModelConfig& config,
                                               const StepExtents& extents,
                                               core::MemoryTally& tally) {
  if (config.is_mamba1()) return std::make_unique<Mamba1Memory>(config, extents, tally);
  return std::make_unique<Mamba2Memory>(config, extents, tally);
}

int64_t shared_bytes_needed(const ModelConfig& config, core::DeviceKind device, core::DType dtype) {
  return config.is_mamba1() ? kernels::scan_block_bytes(device, dtype, config.state_dim)
                            : kernels::ssd_block_bytes(device, dtype);
}

}  // namespace longhaul::model
