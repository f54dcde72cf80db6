// A model as it lies in files of whatever format: its configuration, and its tensors to be read one
// after another.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "model/checkpoint/tensor_stream.h"
#include "model/config.h"

namespace longhaul::model {

enum class ModelFormat { kHuggingFace, kStateSpaces, kGguf };
/// "Hugging Face"
const char* name_of(ModelFormat format);

struct StoredModel {
  ModelFormat format = ModelFormat::kHuggingFace;
  ModelConfig config;
  /// One for each parameter, in the order and by the names of parameters_of.
  std::vector<TensorStream> tensors;
  std::unique_ptr<TensorFile> file;     ///< what they read from
  std::vector<std::string> notes = {};  ///< what the configuration says and is not followed
};

/// RUN/model of the folder of a run, else the path itself. Whatever reads a model takes either.
std::filesystem::path model_of(const std::filesystem::path& path);

/// A run, a folder in the Hugging Face or state-spaces layout, or a GGUF file, recognised by what
/// is in it. Reads configuration and headers (and the head of a tied model, if there is one);
/// everything that is wrong is told in one InputError.
StoredModel open_stored_model(const std::filesystem::path& path);

/// The configuration alone.
ModelConfig read_stored_config(const std::filesystem::path& path);

}  // namespace longhaul::model
