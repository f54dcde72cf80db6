// A model for many ranks, read from disk by one of them.
#pragma once

#include <filesystem>
#include <memory>

#include "dist/communicator.h"
#include "model/language_model.h"

namespace longhaul::model {

/// As load_parameters and load_model of model_folder.h: the first rank reads the weights, the
/// others receive them, so that a file system serves them once, however many ranks there are.
/// Collective over `world`, which speaks for the memory that the model lies in. What goes wrong on
/// the first rank is thrown on all.
void load_parameters(const std::filesystem::path& path, LanguageModel& model,
                     dist::Communicator& world);
std::unique_ptr<LanguageModel> load_model(core::Context& context, const std::filesystem::path& path,
                                          core::DType dtype, dist::Communicator& world);

}  // namespace longhaul::model
