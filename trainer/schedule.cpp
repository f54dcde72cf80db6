#include "trainer/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace longhaul::trainer {

namespace {

double cosine_share(const ScheduleConfig& schedule, int64_t step) {
  const int64_t last = schedule.steps - 1;
  if (last <= schedule.warmup) return 1;
  const double progress = std::min(1.0, static_cast<double>(step - schedule.warmup) /
                                            static_cast<double>(last - schedule.warmup));
  return schedule.floor + (1 - schedule.floor) * 0.5 * (1 + std::cos(std::numbers::pi * progress));
}

double wsd_share(const ScheduleConfig& schedule, int64_t step) {
  const int64_t decay = std::min(schedule.steps, schedule.decay_steps > 0
                                                     ? schedule.decay_steps
                                                     : std::max<int64_t>(1, schedule.steps / 10));
  const int64_t decayed = std::clamp<int64_t>(step + 1 - (schedule.steps - decay), 0, decay);
  return 1 - (1 - schedule.floor) * static_cast<double>(decayed) / static_cast<double>(decay);
}

}  // namespace

double learning_rate(const ScheduleConfig& schedule, double peak, int64_t step) {
  if (step < schedule.warmup) {
    return peak * static_cast<double>(step + 1) / static_cast<double>(schedule.warmup + 1);
  }
  switch (schedule.kind) {
    case ScheduleKind::kConstant:
      return peak;
    case ScheduleKind::kCosine:
      return peak * cosine_share(schedule, step);
    case ScheduleKind::kWsd:
      return peak * wsd_share(schedule, step);
  }
  return peak;
}

}  // namespace longhaul::trainer
