#pragma once

#include <cstdint>

#include "model/language_model.h"

namespace longhaul::eval {

/// What `batch` sequences begin from: `start`, the state of one sequence (nullptr: zeros).
model::RecurrentState first_state(const model::LanguageModel& model,
                                  const model::RecurrentState* start, int64_t batch);

}  // namespace longhaul::eval
