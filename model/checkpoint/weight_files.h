// The tensors of a model folder, be they in one file or in shards.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/checkpoint/safetensors.h"
#include "model/checkpoint/tensor_stream.h"
#include "model/config.h"
#include "model/parameters.h"

namespace longhaul::model {

inline constexpr const char* kConfigFile = "config.json";
inline constexpr const char* kWeightFile = "model.safetensors";
inline constexpr const char* kIndexFile = "model.safetensors.index.json";
inline constexpr const char* kTorchWeightFile = "pytorch_model.bin";
inline constexpr const char* kTorchIndexFile = "pytorch_model.bin.index.json";

struct StoredWeights {
  std::unique_ptr<TensorFile> file;
  bool head_is_shared = false;  ///< lm_head and the embedding are the same elements of the file
};
/// The folder's safetensors, or else its pytorch_model.bin, whole or in shards. Tensors that share
/// elements are refused, but for the head of a `tied` model.
StoredWeights open_weights(const std::filesystem::path& folder, bool tied);

/// From one tensor for each parameter, in the order of the list; their rounded copy follows.
void fill_parameters(const std::vector<TensorStream>& tensors, const ParameterSet& parameters);

/// Fills `parameters` from the folder's files, or throws InputError naming every missing,
/// unexpected, mis-shaped and mis-typed tensor, nothing filled. Floating types convert. `tied`: a
/// stored lm_head is welcome if it equals the embedding.
void load_weights(const std::filesystem::path& folder, bool tied, const ParameterSet& parameters);

/// Of what has been written so far.
using WriteProgress = std::function<void(int64_t bytes)>;

/// A file of weights: its name, and tensors [begin, end) of the list that is saved.
struct WeightFile {
  std::string name;
  size_t begin = 0, end = 0;
};

/// How weights are spread over files of about `shard_bytes` at most (a tensor is never split);
/// without a tensor, one empty file.
std::vector<WeightFile> weight_files(const std::vector<TensorStream>& tensors, int64_t shard_bytes);

/// kIndexFile of `files`, which are several.
std::string weight_index(const std::vector<TensorStream>& tensors,
                         const std::vector<WeightFile>& files);

/// Writes all tensors into `folder` as they are, in shards and with an index if they take more
/// than `shard_bytes`. A tensor is never split.
void save_weights(const std::filesystem::path& folder, const std::vector<TensorStream>& tensors,
                  int64_t shard_bytes, const WriteProgress& progress = {});

/// Writes all parameters as `type`. Throws InputError naming a tensor that `type` cannot hold.
void save_weights(const std::filesystem::path& folder, const ParameterSet& parameters,
                  StoredType type, int64_t shard_bytes);

/// True for the names that save_weights gives its files, and for kConfigFile.
bool is_model_file(const std::string& name);

}  // namespace longhaul::model
