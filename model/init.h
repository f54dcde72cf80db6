#pragma once

#include <cstdint>

#include "model/language_model.h"

namespace longhaul::model {

/// Initial parameters as in mamba_ssm (embedding N(0, 0.02), projections uniform ±1/√in, out_proj
/// divided by √layers, A ~ U(a_low, a_high), dt log-uniform), drawn from `seed` alone: the same on
/// any number of ranks.
void initialize(LanguageModel& model, uint64_t seed);

}  // namespace longhaul::model
