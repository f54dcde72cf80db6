#pragma once

#include <vector>

#include "model/config.h"
#include "model/parameters.h"

namespace longhaul::model {

/// As parameters_of of architecture.h. Names of the MLP, which transformers lacks, are mamba_ssm's
/// ("norm2.weight", "mlp.fc1.weight", "mlp.fc2.weight").
std::vector<Parameter> mamba2_parameters(const ModelConfig& config);

}  // namespace longhaul::model
