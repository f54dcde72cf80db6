#pragma once

#include <string>

#include "model/checkpoint/stored_model.h"
#include "model/language_model.h"

namespace longhaul::eval {

/// Of a model's configuration and parameters: another model has another one. Reads all parameters.
std::string model_fingerprint(const model::LanguageModel& model);
/// The same of a model that lies in files, loaded with parameters of `type`, F32 or F64; in memory
/// that does not grow with it.
std::string model_fingerprint(const model::StoredModel& stored, model::StoredType type);
/// Of all numbers of a state.
std::string state_fingerprint(core::Context& context, const model::RecurrentState& state);

}  // namespace longhaul::eval
