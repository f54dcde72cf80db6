// The tensors of a model folder, be they in one file or in shards.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "model/checkpoint/safetensors.h"
#include "model/config.h"
#include "model/parameters.h"

namespace longhaul::model {

inline constexpr const char* kConfigFile = "config.json";
inline constexpr const char* kWeightFile = "model.safetensors";
inline constexpr const char* kIndexFile = "model.safetensors.index.json";

/// Fills `parameters` from the folder's files, or throws InputError naming every missing,
/// unexpected, mis-shaped and mis-typed tensor, nothing filled. Floating types convert. `tied`: a
/// stored lm_head is welcome if it equals the embedding.
void load_weights(const std::filesystem::path& folder, bool tied, const ParameterSet& parameters);

/// Writes all parameters as `type` into `folder`, in shards and with an index if they take more
/// than `shard_bytes`. A tensor is never split. Throws InputError naming a tensor that `type`
/// cannot hold.
void save_weights(const std::filesystem::path& folder, const ParameterSet& parameters,
                  StoredType type, int64_t shard_bytes);

/// True for the names that save_weights gives its files, and for kConfigFile.
bool is_model_file(const std::string& name);

}  // namespace longhaul::model
