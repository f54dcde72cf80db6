// Which checkpoints stay: cases by hand, and against a brute-force reading of the rules.
#include "trainer/checkpoint_retention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace longhaul::trainer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(CheckpointRetention, TheNewest) {
  EXPECT_THAT(superfluous({{1, {}}, {2, {}}, {5, {}}}, {.keep = 2}), ElementsAre(1));
  EXPECT_THAT(superfluous({{1, {}}, {2, {}}}, {.keep = 2}), IsEmpty());
  EXPECT_THAT(superfluous({}, {.keep = 2}), IsEmpty());
}

TEST(CheckpointRetention, ARowOfSkippedStepsPushesNothingOut) {
  EXPECT_THAT(superfluous({{1, {}}, {2, {}}, {3, {}, true}, {4, {}, true}}, {.keep = 1}),
              ElementsAre(1));
  EXPECT_THAT(superfluous({{2, {}}, {3, {}, true}, {5, {}}}, {.keep = 1}), ElementsAre(2, 3));
}

TEST(CheckpointRetention, MilestonesAndTheBest) {
  EXPECT_THAT(superfluous({{10, {}}, {15, {}}, {20, {}}, {25, {}}}, {.keep = 1, .keep_every = 10}),
              ElementsAre(15));
  EXPECT_THAT(
      superfluous({{1, 3.0}, {2, 1.0}, {3, NAN}, {4, 2.0}, {5, {}}}, {.keep = 1, .keep_best = 2}),
      ElementsAre(1, 3));
  EXPECT_THAT(superfluous({{1, 1.0}, {2, 1.0}, {3, 9.0}}, {.keep = 1, .keep_best = 1}),
              ElementsAre(1));  // of equal ones the newer stays
}

TEST(CheckpointRetention, EqualsTheRulesReadOneByOne) {
  std::mt19937 random(7);
  const auto below = [&](int n) {
    return static_cast<int64_t>(random() % static_cast<unsigned>(n));
  };
  for (int trial = 0; trial < 2000; ++trial) {
    std::vector<RetainedCheckpoint> all;
    int64_t step = 0;
    for (int64_t i = below(8); i > 0; --i) {
      all.push_back({step += 1 + below(4), {}});
      if (below(3) > 0) all.back().score = static_cast<double>(below(4));
      all.back().in_skipped_row = below(4) == 0;
    }
    const CheckpointConfig config{
        .keep = 1 + below(3), .keep_every = below(4), .keep_best = below(3)};
    std::vector<int64_t> expected;
    for (const auto& one : all) {
      int64_t newer = 0, better = 0;
      for (const auto& other : all) {
        newer += other.step > one.step && !other.in_skipped_row;
        if (!one.score || !other.score) continue;
        better +=
            *other.score < *one.score || (*other.score == *one.score && other.step > one.step);
      }
      const bool stays = newer < config.keep ||
                         (config.keep_every > 0 && one.step % config.keep_every == 0) ||
                         (one.score && better < config.keep_best);
      if (!stays) expected.push_back(one.step);
    }
    EXPECT_EQ(superfluous(all, config), expected) << trial;
  }
}

}  // namespace
}  // namespace longhaul::trainer
