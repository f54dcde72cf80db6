#include "model/checkpoint/model_writing.h"

#include <algorithm>

#include "kernels/core/error.h"
#include "model/checkpoint/atomic_file.h"
#include "model/checkpoint/folder_replacement.h"
#include "model/checkpoint/state_spaces/state_spaces_config.h"
#include "model/checkpoint/stored_model.h"
#include "model/checkpoint/tensor_names.h"
#include "model/checkpoint/torch/torch_writer.h"
#include "model/checkpoint/weight_files.h"

namespace longhaul::model {

namespace {

namespace fs = std::filesystem;
using core::message;

std::vector<TensorStream> as_wanted(const std::vector<TensorStream>& tensors,
                                    const WriteOptions& options) {
  std::vector<TensorStream> result;
  for (const TensorStream& tensor : tensors) {
    result.push_back(converted(tensor, options.type.value_or(tensor.type)));
  }
  return result;
}

/// What is not ours is not replaced: the folder must not be there, be empty, or hold a model of
/// ours.
void check_replaceable(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) return;  // FolderReplacement refuses a file
  if (fs::is_empty(folder, error)) return;
  const auto refuse = [&](const std::string& why) {
    throw core::InputError(message(
        folder.string(), ": exists, is not empty and is no folder of a Mamba or Mamba-2 model (",
        why, "): not replaced"));
  };
  if (!fs::exists(folder / kWeightFile, error) && !fs::exists(folder / kIndexFile, error)) {
    refuse(message("no ", kWeightFile));
  }
  try {
    read_stored_config(folder);
  } catch (const core::InputError& problem) {
    refuse(problem.problems().front());
  }
}

void check_empty(const fs::path& folder) {
  std::error_code error;
  if (fs::is_directory(folder, error) && !fs::is_empty(folder, error)) {
    throw core::InputError(
        message(folder.string(), ": exists and is not empty, expected a new folder"));
  }
}

bool is_companion(const std::string& name, const WriteOptions& options) {
  const auto copied = [&](const fs::path& path) { return path.filename() == name; };
  const auto written = [&](const BesideFile& file) { return file.name == name; };
  const auto& obsolete = options.obsolete;
  return std::find(obsolete.begin(), obsolete.end(), name) != obsolete.end() ||
         std::any_of(options.companions.begin(), options.companions.end(), copied) ||
         std::any_of(options.beside.begin(), options.beside.end(), written);
}

void write_companions(const fs::path& folder, const WriteOptions& options) {
  for (const fs::path& path : options.companions) {
    copy_file_atomically(path, folder / path.filename());
  }
  for (const BesideFile& file : options.beside)
    write_file_atomically(folder / file.name, file.text);
}

}  // namespace

std::string spelled_type(StoredType type) {
  switch (type) {
    case StoredType::kF64:
      return "float64";
    case StoredType::kF16:
      return "float16";
    case StoredType::kBF16:
      return "bfloat16";
    default:
      return "float32";
  }
}

void write_model_folder(const ModelConfig& config, const std::vector<TensorStream>& tensors,
                        const fs::path& folder, const WriteOptions& options) {
  check_replaceable(folder);
  FolderReplacement replacement(folder, [&](const std::string& name) {
    return is_model_file(name) || is_companion(name, options);
  });
  const auto wanted = as_wanted(tensors, options);
  save_weights(replacement.path(), wanted, options.shard_bytes, options.progress);
  write_companions(replacement.path(), options);
  write_file_atomically(
      replacement.path() / kConfigFile,
      model_config_json(config, spelled_type(wanted.front().type), options.tokens));
  replacement.commit();
}

std::vector<std::string> beyond_transformers(const ModelConfig& config) {
  std::vector<std::string> lines;
  if (config.mlp_width > 0) {
    lines.push_back(
        message("transformers' Mamba-2 has no MLP, the model has one of width ", config.mlp_width));
  }
  if (config.inner() % config.width != 0) {
    lines.push_back(
        message("transformers takes hidden_size · expand for the inner width, with a "
                "whole number for expand, and none makes ",
                config.width, " to ", config.inner()));
  }
  return lines;
}

void write_state_spaces_folder(const ModelConfig& config, const std::vector<TensorStream>& tensors,
                               const fs::path& folder, StateSpacesContainer container,
                               const WriteOptions& options) {
  const std::string json = state_spaces_config_json(config);
  check_empty(folder);
  FolderReplacement replacement(folder, [](const std::string&) { return false; });
  auto wanted = as_wanted(tensors, options);
  for (TensorStream& tensor : wanted) {
    if (tensor.name == kEmbedding) tensor.name = kStateSpacesEmbedding;
  }
  if (container == StateSpacesContainer::kTorch) {
    std::vector<SharedName> shared;
    if (config.tied) shared.push_back({.name = kHead, .of = kStateSpacesEmbedding});
    write_torch_file(replacement.path() / kTorchWeightFile, wanted, shared, options.progress);
  } else {
    write_tensor_streams(replacement.path() / kWeightFile, wanted, options.progress);
  }
  write_companions(replacement.path(), options);
  write_file_atomically(replacement.path() / kConfigFile, json);
  replacement.commit();
}

}  // namespace longhaul::model
