// Models written in the formats of other programs, tensor by tensor, in memory that does not grow
// with the model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "model/checkpoint/config_json.h"
#include "model/checkpoint/tensor_stream.h"
#include "model/config.h"

namespace longhaul::model {

/// A small file beside the weights.
struct BesideFile {
  std::string name, text;
};

struct WriteOptions {
  std::optional<StoredType> type;  ///< of all tensors; none: each as it is
  int64_t shard_bytes = int64_t{5} << 30;
  std::vector<std::filesystem::path> companions = {};  ///< copied beside the weights
  std::vector<BesideFile> beside = {};
  std::vector<std::string> obsolete = {};  ///< of a folder that is replaced: not taken over
  TokenIds tokens = {};                    ///< write_model_folder: for config.json
  std::function<void(int64_t bytes)> progress = {};  ///< called with the bytes of each piece
};

/// `tensors`: one for each of parameters_of(config), in that order. The folder appears whole or
/// not at all; a folder that holds something else than a model of ours is not replaced.
void write_model_folder(const ModelConfig& config, const std::vector<TensorStream>& tensors,
                        const std::filesystem::path& folder, const WriteOptions& options);

/// What transformers cannot express of the model, a line each.
std::vector<std::string> beyond_transformers(const ModelConfig& config);

enum class StateSpacesContainer { kTorch, kSafetensors };
/// The folder must not exist, or be empty. Throws InputError naming what the layout cannot express.
void write_state_spaces_folder(const ModelConfig& config, const std::vector<TensorStream>& tensors,
                               const std::filesystem::path& folder, StateSpacesContainer container,
                               const WriteOptions& options);

/// "float32", as configurations spell it.
std::string spelled_type(StoredType type);

}  // namespace longhaul::model
