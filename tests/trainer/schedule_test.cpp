#include "trainer/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace longhaul::trainer {
namespace {

TEST(Schedule, WarmUpIsLinearAndReachesThePeakAtItsStep) {
  for (const ScheduleKind kind :
       {ScheduleKind::kConstant, ScheduleKind::kCosine, ScheduleKind::kWsd}) {
    const ScheduleConfig schedule{.kind = kind, .steps = 100, .warmup = 4};
    EXPECT_DOUBLE_EQ(learning_rate(schedule, 10, 0), 2);
    EXPECT_DOUBLE_EQ(learning_rate(schedule, 10, 1), 4);
    EXPECT_DOUBLE_EQ(learning_rate(schedule, 10, 3), 8);
    EXPECT_DOUBLE_EQ(learning_rate(schedule, 10, 4), 10);
  }
}

TEST(Schedule, ConstantStaysAtThePeak) {
  const ScheduleConfig schedule{.kind = ScheduleKind::kConstant, .steps = 20, .warmup = 0};
  for (int64_t step = 0; step < 20; ++step) EXPECT_EQ(learning_rate(schedule, 3e-4, step), 3e-4);
}

TEST(Schedule, CosineFallsToTheFloorAtTheLastStep) {
  const ScheduleConfig schedule{
      .kind = ScheduleKind::kCosine, .steps = 111, .warmup = 10, .floor = 0.1};
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 2, 10), 2);
  EXPECT_NEAR(learning_rate(schedule, 2, 60), 2 * 0.55, 1e-12);  // half way
  EXPECT_NEAR(learning_rate(schedule, 2, 35),
              2 * (0.1 + 0.45 * (1 + std::cos(std::numbers::pi / 4))), 1e-12);
  EXPECT_NEAR(learning_rate(schedule, 2, 110), 0.2, 1e-12);
  for (int64_t step = 11; step < 111; ++step) {
    EXPECT_LT(learning_rate(schedule, 2, step), learning_rate(schedule, 2, step - 1)) << step;
  }
}

TEST(Schedule, WsdIsFlatThenLinear) {
  const ScheduleConfig schedule{
      .kind = ScheduleKind::kWsd, .steps = 50, .warmup = 5, .decay_steps = 10, .floor = 0.2};
  for (int64_t step = 5; step < 40; ++step) EXPECT_EQ(learning_rate(schedule, 1, step), 1) << step;
  for (int64_t step = 40; step < 50; ++step) {
    EXPECT_NEAR(learning_rate(schedule, 1, step), 1 - 0.08 * static_cast<double>(step - 39), 1e-12);
  }
}

TEST(Schedule, WsdDecaysOverATenthUnlessTold) {
  const ScheduleConfig schedule{
      .kind = ScheduleKind::kWsd, .steps = 200, .warmup = 0, .decay_steps = 0, .floor = 0};
  EXPECT_EQ(learning_rate(schedule, 1, 179), 1);
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 1, 180), 0.95);
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 1, 199), 0);
}

TEST(Schedule, ShortRunsHaveRatesToo) {
  for (const ScheduleKind kind :
       {ScheduleKind::kConstant, ScheduleKind::kCosine, ScheduleKind::kWsd}) {
    for (const int64_t warmup : {0, 1, 2, 50}) {
      for (int64_t steps = 1; steps < 4; ++steps) {
        const ScheduleConfig schedule{.kind = kind, .steps = steps, .warmup = warmup, .floor = 0.1};
        for (int64_t step = 0; step < steps; ++step) {
          const double rate = learning_rate(schedule, 1, step);
          EXPECT_TRUE(rate > 0 && rate <= 1) << rate << " at " << step << " of " << steps;
        }
      }
    }
  }
}

}  // namespace
}  // namespace longhaul::trainer
