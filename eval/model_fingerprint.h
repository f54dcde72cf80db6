#pragma once

#include <string>

#include "model/language_model.h"

namespace longhaul::eval {

/// Of a model's configuration and parameters: another model has another one. Reads all parameters.
std::string model_fingerprint(const model::LanguageModel& model);
/// Of all numbers of a state.
std::string state_fingerprint(core::Context& context, const model::RecurrentState& state);

}  // namespace longhaul::eval
