#pragma once

#include <cstdint>

#include "trainer/config.h"

namespace longhaul::trainer {

/// Learning rate of optimizer step `step` (from 0): peak · share. Warm-up is linear, not zero at
/// step 0, and reaches the peak at step `warmup`; the last step's rate is floor · peak.
double learning_rate(const ScheduleConfig& schedule, double peak, int64_t step);

}  // namespace longhaul::trainer
