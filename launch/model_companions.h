// What lies beside the weights of a model that import or export writes.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "model/checkpoint/model_writing.h"

namespace longhaul::launch {

inline constexpr const char* kLearnedStateFile = "initial_state.safetensors";

/// Names of the files that are a model's own: of its tokenizer, of how it generates, its card, its
/// learned state. Another model's of a folder that is replaced must not stay.
std::vector<std::string> companion_names();

/// Where the tokenizer among `options.companions` names no class, transformers reads it as a
/// GPT-NeoX one, whatever it is: writes a tokenizer_config.json that names the class that reads it
/// as it is, and its end of text where that is known.
void complete_for_transformers(model::WriteOptions& options);

}  // namespace longhaul::launch
