#pragma once

#include <vector>

#include "model/config.h"
#include "model/parameters.h"

namespace longhaul::model {

/// Names, shapes and decay of a Mamba-2 model's parameters, in the order ParameterSet asks for.
/// Names are transformers' ("backbone.embeddings.weight"); those of the MLP, which transformers
/// lacks, are mamba_ssm's ("norm2.weight", "mlp.fc1.weight", "mlp.fc2.weight").
/// The config must be valid (its rules, validate(), and a vocabulary of at least 1).
std::vector<Parameter> mamba2_parameters(const ModelConfig& config);

}  // namespace longhaul::model
