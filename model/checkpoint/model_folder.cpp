#include "model/checkpoint/model_folder.h"

#include <algorithm>

#include "kernels/core/error.h"
#include "model/checkpoint/gguf/gguf_file.h"
#include "model/checkpoint/model_parts.h"
#include "model/checkpoint/stored_model.h"
#include "model/checkpoint/weight_files.h"

namespace longhaul::model {

namespace {

/// A GGUF file holds the parameters of its own configuration.
void load_gguf(const std::filesystem::path& file, LanguageModel& model) {
  const StoredModel stored = open_stored_model(file);
  const auto& wanted = model.parameters().list();
  const auto fits = [](const TensorStream& tensor, const Parameter& parameter) {
    return tensor.name == parameter.name && tensor.shape == parameter.shape;
  };
  if (!std::equal(stored.tensors.begin(), stored.tensors.end(), wanted.begin(), wanted.end(),
                  fits)) {
    throw core::InputError(file.string() + ": holds a model of another shape");
  }
  fill_parameters(stored.tensors, model.parameters());
}

}  // namespace

void load_parameters(const std::filesystem::path& path, LanguageModel& model) {
  const std::filesystem::path stored = model_of(path);
  if (is_gguf_file(stored)) {
    load_gguf(stored, model);
  } else {
    load_weights(stored, model.config().tied, model.parameters());
  }
}

std::unique_ptr<LanguageModel> load_model(core::Context& context, const std::filesystem::path& path,
                                          core::DType dtype) {
  const StoredModel stored = open_stored_model(path);
  auto model = std::make_unique<LanguageModel>(context, stored.config, dtype);
  fill_parameters(stored.tensors, model->parameters());
  return model;
}

void save_model(const LanguageModel& model, const std::filesystem::path& folder,
                const SaveOptions& options) {
  save_model_parts(model.config(), model.parameters(), folder, options);
}

}  // namespace longhaul::model
