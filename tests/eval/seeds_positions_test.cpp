// Seeds of which older files lack a position.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "eval/seeds.h"
#include "kernels/core/error.h"

namespace longhaul::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Values are what their position says times `scale`.
RunFolder run(const std::vector<int64_t>& positions, double scale) {
  StateStatistics states{.read = "text", .length = 8, .training_length = 3};
  EffRem effrem{.read = "text", .length = 9, .training_length = 3};
  states.positions = positions;
  for (const int64_t position : positions) {
    const double value = scale * static_cast<double>(position);
    for (auto* list : {&states.pooled.mean, &states.pooled.deviation, &states.pooled.norm}) {
      list->push_back(value);
    }
    states.deviation_error.push_back(0);
    effrem.points.push_back({.dropped = position, .distance = value});
  }
  states.layers = {{.layer = 0, .moments = states.pooled}};
  RunFolder result;
  result.name = "seed";
  result.states = {{.name = "states", .value = states}};
  result.effrems = {{.name = "effrem", .value = effrem}};
  return result;
}

TEST(SeedsPositions, AreThoseThatAllHave) {
  const RunFolder mean = mean_of_seeds("arm", {run({2, 4, 8}, 1), run({2, 3, 4, 8}, 3)});
  const StateStatistics& states = mean.states[0].value;
  EXPECT_THAT(states.positions, ElementsAre(2, 4, 8));
  EXPECT_THAT(states.pooled.deviation, ElementsAre(4, 8, 16));
  EXPECT_THAT(states.layers[0].moments.norm, ElementsAre(4, 8, 16));
  EXPECT_EQ(states.deviation_error.size(), 3u);
  const EffRem& effrem = mean.effrems[0].value;
  ASSERT_EQ(effrem.points.size(), 3u);
  EXPECT_EQ(effrem.points[1].dropped, 4);
  EXPECT_DOUBLE_EQ(effrem.points[1].distance, 8);
}

TEST(SeedsPositions, NoneInCommonAreRefused) {
  try {
    mean_of_seeds("arm", {run({2, 8}, 1), run({4, 7}, 1)});
    FAIL();
  } catch (const core::InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("arm, effrem: no number of tokens left out"));
  }
}

}  // namespace
}  // namespace longhaul::eval
