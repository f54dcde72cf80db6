#pragma once

#include <string>
#include <vector>

#include "model/config.h"
#include "model/parameters.h"

namespace longhaul::model {

/// Those of one layer, whose names begin with `layer` ("backbone.layers.3."). Names of the MLP,
/// which transformers lacks, are mamba_ssm's ("norm2.weight", "mlp.fc1.weight", "mlp.fc2.weight").
void append_mamba2_layer(const ModelConfig& config, const std::string& layer,
                         std::vector<Parameter>& list);

}  // namespace longhaul::model
