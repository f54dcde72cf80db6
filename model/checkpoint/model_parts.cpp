#include "model/checkpoint/model_parts.h"

#include "kernels/core/error.h"
#include "model/checkpoint/config_json.h"
#include "model/checkpoint/folder_replacement.h"
#include "model/checkpoint/stored_model.h"
#include "model/checkpoint/weight_files.h"

namespace longhaul::model {

namespace {

StoredType stored_type(const std::string& dtype) {
  if (dtype == "float32") return StoredType::kF32;
  if (dtype == "bfloat16") return StoredType::kBF16;
  if (dtype == "float16") return StoredType::kF16;
  throw core::InputError(core::message("dtype of a stored model: expected float32, bfloat16 or ",
                                       "float16, is \"", dtype, "\""));
}

/// What is not ours is not replaced: the folder must not be there, be empty, or hold a model of
/// ours.
void check_replaceable(const std::filesystem::path& folder) {
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error)) return;  // FolderReplacement refuses a file
  if (std::filesystem::is_empty(folder, error)) return;
  const auto refuse = [&](const std::string& why) {
    throw core::InputError(core::message(folder.string(),
                                         ": exists, is not empty and is no Mamba-2 model folder (",
                                         why, "): not replaced"));
  };
  if (!std::filesystem::exists(folder / kWeightFile, error) &&
      !std::filesystem::exists(folder / kIndexFile, error)) {
    refuse(core::message("no ", kWeightFile));
  }
  try {
    read_model_config(folder);
  } catch (const core::InputError& problem) {
    refuse(problem.problems().front());
  }
}

}  // namespace

ModelConfig read_model_config(const std::filesystem::path& path) {
  return read_stored_config(path);
}

void save_model_parts(const ModelConfig& config, const ParameterSet& parameters,
                      const std::filesystem::path& folder, const SaveOptions& options) {
  const StoredType type = stored_type(options.dtype);
  check_replaceable(folder);
  FolderReplacement replacement(folder, is_model_file);
  save_weights(replacement.path(), parameters, type, options.shard_bytes);
  write_file_atomically(replacement.path() / kConfigFile, model_config_json(config, options.dtype));
  replacement.commit();
}

}  // namespace longhaul::model
