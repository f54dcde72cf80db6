#include "model/architecture.h"

#include <utility>

#include "kernels/ssd/ssd.h"
#include "model/mamba2_block.h"
#include "model/mamba2_memory.h"
#include "model/mamba2_parameters.h"

namespace longhaul::model {

std::vector<Parameter> parameters_of(const ModelConfig& config) {
  return mamba2_parameters(config);
}

std::vector<StateSpec> state_specs_of_layer(const ModelConfig& config, int64_t layer) {
  return mamba2_state_specs(config, layer);
}

std::vector<StateSpec> state_specs_of(const ModelConfig& config) {
  std::vector<StateSpec> specs;
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    for (StateSpec& spec : state_specs_of_layer(config, layer)) specs.push_back(std::move(spec));
  }
  return specs;
}

std::unique_ptr<Block> make_block(const ModelConfig& config, int64_t layer,
                                  ParameterSet& parameters) {
  return std::make_unique<Mamba2Block>(config, layer, parameters);
}

std::unique_ptr<BlockMemory> make_block_memory(const ModelConfig& config,
                                               const StepExtents& extents,
                                               core::MemoryTally& tally) {
  return std::make_unique<Mamba2Memory>(config, extents, tally);
}

int64_t shared_bytes_needed(core::DeviceKind device, core::DType dtype) {
  return kernels::ssd_block_bytes(device, dtype);
}

}  // namespace longhaul::model
