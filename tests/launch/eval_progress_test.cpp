#include "launch/eval/eval_progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace longhaul::launch {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::internal::CaptureStderr;
using ::testing::internal::GetCapturedStderr;

TEST(EvalProgress, NamesDurations) {
  EXPECT_EQ(duration_name(0), "0 s");
  EXPECT_EQ(duration_name(39.5), "40 s");
  EXPECT_EQ(duration_name(100), "2 min");
  EXPECT_EQ(duration_name(99 * 60), "99 min");
  EXPECT_EQ(duration_name(3 * 3600 + 241), "3 h 5 min");
}

TEST(EvalProgress, TimeLeftCountsFromWhereItBegan) {
  EvalProgress::Clock::time_point now{};
  EvalProgress progress([&] { return now; });
  EXPECT_EQ(progress.time_left(0.5), "");
  now += seconds(30);
  EXPECT_EQ(progress.time_left(0.6), "2 min left");  // a tenth in 30 s, four to go
  now += seconds(90);
  EXPECT_EQ(progress.time_left(0.9), "30 s left");
  EXPECT_EQ(progress.time_left(1), "0 s left");
}

TEST(EvalProgress, WithoutATerminalTellsOnceAMinute) {
  EvalProgress::Clock::time_point now{};
  EvalProgress progress([&] { return now; });
  CaptureStderr();
  for (int i = 0; i <= 130; ++i, now += seconds(1)) progress.show(i / 200.0);
  const std::string told = GetCapturedStderr();
  EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 2) << told;
  EXPECT_THAT(told, HasSubstr("longhaul: eval: 30 %, 3 min left\n"));
  EXPECT_THAT(told, HasSubstr("longhaul: eval: 60 %, 80 s left\n"));
}

}  // namespace
}  // namespace longhaul::launch
