// What the evaluations of a sweep take of memory.
#pragma once

#include <cstdint>

#include "launch/sweep/measure_config.h"
#include "launch/sweep/sweep_config.h"
#include "model/config.h"

namespace longhaul::launch {

/// Bytes that all ranks of a measure take together on the CPU, at the highest (eval/memory_plan.h).
/// `training_length`: of the run whose model is measured.
int64_t measure_memory(const SweepConfig& sweep, const MeasureConfig& measure,
                       const model::ModelConfig& shape, int64_t training_length);

}  // namespace longhaul::launch
