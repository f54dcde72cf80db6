#pragma once

#include <filesystem>

#include "model/checkpoint/model_folder.h"

namespace longhaul::model {

/// save_model for a configuration and its parameters where there is no LanguageModel.
void save_model_parts(const ModelConfig& config, const ParameterSet& parameters,
                      const std::filesystem::path& folder, const SaveOptions& options = {});

}  // namespace longhaul::model
