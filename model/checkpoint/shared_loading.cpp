#include "model/checkpoint/shared_loading.h"

#include "dist/all_ranks.h"
#include "model/checkpoint/model_folder.h"

namespace longhaul::model {

namespace {

void share_parameters(const ParameterSet& parameters, dist::Communicator& world) {
  dist::share_first(world, parameters.values());
  if (world.rank() != 0) parameters.update_rounded();
}

}  // namespace

void load_parameters(const std::filesystem::path& path, LanguageModel& model,
                     dist::Communicator& world) {
  dist::on_all_ranks(world, "reading the model", [&] {
    if (world.rank() == 0) load_parameters(path, model);
  });
  share_parameters(model.parameters(), world);
}

std::unique_ptr<LanguageModel> load_model(core::Context& context, const std::filesystem::path& path,
                                          core::DType dtype, dist::Communicator& world) {
  std::unique_ptr<LanguageModel> model;
  dist::on_all_ranks(world, "reading the model", [&] {
    model = world.rank() == 0
                ? load_model(context, path, dtype)
                : std::make_unique<LanguageModel>(context, read_model_config(path), dtype);
  });
  share_parameters(model->parameters(), world);
  return model;
}

}  // namespace longhaul::model
