// config.json of the state-spaces package (mamba_ssm's MambaConfig).
#pragma once

#include <string>
#include <string_view>

#include "model/config.h"

namespace longhaul::model {

/// Whether config.json's text is MambaConfig's: it has a d_model and no model_type.
bool is_state_spaces_config(std::string_view text, const std::string& name);

/// Absent keys have MambaConfig's defaults, absent ones of ssm_cfg those of its module: Mamba1, or
/// Mamba2 where `layer` says so. `name` stands for the file in messages. Throws InputError listing
/// every problem with its key: attention layers, other modules and options that these models have
/// not are refused by name.
ModelConfig parse_state_spaces_config(std::string_view text, const std::string& name);

/// What mamba_ssm builds the same model from. Throws InputError naming what it cannot express.
std::string state_spaces_config_json(const ModelConfig& config);

}  // namespace longhaul::model
