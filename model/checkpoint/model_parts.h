#pragma once

#include <filesystem>
#include <string>

#include "model/checkpoint/model_folder.h"
#include "model/checkpoint/safetensors.h"

namespace longhaul::model {

/// "float32" · "bfloat16" · "float16"; throws InputError for anything else.
StoredType parse_stored_type(const std::string& spelled);

/// save_model for a configuration and its parameters where there is no LanguageModel.
void save_model_parts(const ModelConfig& config, const ParameterSet& parameters,
                      const std::filesystem::path& folder, const SaveOptions& options = {});

}  // namespace longhaul::model
