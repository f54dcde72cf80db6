#include "model/checkpoint/stored_model.h"

#include <array>
#include <utility>

#include "kernels/core/error.h"
#include "kernels/core/random_access_file.h"
#include "model/architecture.h"
#include "model/checkpoint/config_json.h"
#include "model/checkpoint/gguf/gguf_model.h"
#include "model/checkpoint/json_reading.h"
#include "model/checkpoint/parameter_matching.h"
#include "model/checkpoint/safetensors_tensors.h"
#include "model/checkpoint/sharded_tensors.h"
#include "model/checkpoint/state_spaces/state_spaces_config.h"
#include "model/checkpoint/tensor_names.h"
#include "model/checkpoint/torch/torch_file.h"
#include "model/checkpoint/weight_files.h"

namespace longhaul::model {

namespace {

namespace fs = std::filesystem;
using core::message;

// As launch/run_folder.h and the trainer leave them.
constexpr const char* kRunFile = "run.yaml";
constexpr const char* kModelOfRun = "model";

struct FolderConfig {
  ModelFormat format;
  ModelConfig config;
  std::vector<std::string> notes;
};

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

FolderConfig read_folder_config(const fs::path& folder) {
  const fs::path path = folder / kConfigFile, run = folder.parent_path();
  if (folder.filename() == kModelOfRun && is_there(run / kRunFile) && !is_there(folder)) {
    throw core::InputError(message(run.string(), ": is a run that has no model yet, expected one ",
                                   "that is done, or one of its checkpoints"));
  }
  std::error_code error;
  if (fs::is_regular_file(folder, error)) {
    throw core::InputError(
        message(folder.string(), ": is no GGUF file, expected a model folder or a GGUF file"));
  }
  const std::string text = core::read_file(path);
  if (is_state_spaces_config(text, path.string())) {
    return {ModelFormat::kStateSpaces, parse_state_spaces_config(text, path.string()), {}};
  }
  FolderConfig result{ModelFormat::kHuggingFace, {}, {}};
  result.config = parse_model_config(text, path.string(), &result.notes);
  return result;
}

/// Tensors that share memory would be trained apart: only a tied head may.
bool check_aliases(const TorchFile& file, const fs::path& path, bool tied) {
  std::vector<std::string> problems;
  bool head_is_shared = false;
  for (const TorchFile::Alias& alias : file.aliases()) {
    const std::string first = canonical_name(alias.first), second = canonical_name(alias.second);
    const bool is_head =
        (first == kEmbedding && second == kHead) || (first == kHead && second == kEmbedding);
    if (is_head && alias.is_same && tied) {
      head_is_shared = true;
      continue;
    }
    problems.push_back(message(path.string(), ": tensors ", in_quotes(alias.first), " and ",
                               in_quotes(alias.second), ": share elements",
                               is_head ? ", though the configuration says that they are not tied"
                                       : ", which is not expected"));
  }
  if (!problems.empty()) throw core::InputError(problems);
  return head_is_shared;
}

StoredModel open_folder(const fs::path& folder) {
  auto [format, config, notes] = read_folder_config(folder);
  StoredModel model{
      .format = format, .config = config, .tensors = {}, .file = nullptr, .notes = notes};
  StoredWeights weights = open_weights(folder, config.tied);
  model.tensors = match_parameters(folder.string(), weights.file->tensors(), parameters_of(config),
                                   config.tied, weights.head_is_shared);
  model.file = std::move(weights.file);
  return model;
}

}  // namespace

const char* name_of(ModelFormat format) {
  constexpr std::array kNames = {"Hugging Face", "state-spaces", "GGUF"};
  return kNames[static_cast<size_t>(format)];
}

StoredWeights open_weights(const fs::path& folder, bool tied) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    throw core::InputError(message(folder.string(), ": no such folder"));
  }
  if (is_there(folder / kWeightFile)) {
    return {std::make_unique<SafetensorsTensors>(folder / kWeightFile), false};
  }
  if (is_there(folder / kIndexFile)) {
    const auto open = [](const fs::path& file) {
      return std::make_unique<SafetensorsTensors>(file);
    };
    return {std::make_unique<ShardedTensors>(folder / kIndexFile, open), false};
  }
  bool head_is_shared = false;
  const auto open_torch = [&](const fs::path& path) {
    auto file = std::make_unique<TorchFile>(path);
    head_is_shared |= check_aliases(*file, path, tied);
    return file;
  };
  std::unique_ptr<TensorFile> file;
  if (is_there(folder / kTorchWeightFile)) {
    file = open_torch(folder / kTorchWeightFile);
  } else if (is_there(folder / kTorchIndexFile)) {
    file = std::make_unique<ShardedTensors>(folder / kTorchIndexFile, open_torch);
  } else {
    throw core::InputError(message(folder.string(), ": expected ", kWeightFile, " or ",
                                   kTorchWeightFile, ", or an index of shards (", kIndexFile,
                                   " or ", kTorchIndexFile, "), found none of them"));
  }
  return {std::move(file), head_is_shared};
}

fs::path model_of(const fs::path& path) {
  if (path.empty()) return path;  // not the run of the current folder
  const bool is_run = is_there(path / kRunFile) && !is_there(path / kConfigFile);
  return is_run ? path / kModelOfRun : path;
}

StoredModel open_stored_model(const fs::path& given) {
  const fs::path path = model_of(given);
  return is_gguf_file(path) ? open_gguf_model(path) : open_folder(path);
}

ModelConfig read_stored_config(const fs::path& given) {
  const fs::path path = model_of(given);
  if (is_gguf_file(path)) return read_gguf_config(GgufFile(path).header(), path.string());
  return read_folder_config(path).config;
}

}  // namespace longhaul::model
