#include "model/checkpoint/model_folder.h"

#include "model/checkpoint/model_parts.h"
#include "model/checkpoint/stored_model.h"
#include "model/checkpoint/weight_files.h"

namespace longhaul::model {

void load_parameters(const std::filesystem::path& folder, LanguageModel& model) {
  load_weights(folder, model.config().tied, model.parameters());
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
