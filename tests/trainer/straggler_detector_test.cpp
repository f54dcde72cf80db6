#include "trainer/straggler_detector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "dist/thread_communicator.h"
#include "trainer/rank_times.h"

namespace longhaul::trainer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// "slow 2" or "fast 2" for each change.
std::vector<std::string> changes(StragglerDetector& detector, const std::vector<double>& seconds) {
  std::vector<std::string> words;
  for (const auto& change : detector.add(seconds)) {
    words.push_back((change.slow ? "slow " : "fast ") + std::to_string(change.rank));
  }
  return words;
}

TEST(StragglerDetector, WarnsOnceAfterThreeWindowsAndOnceOfRecovery) {
  StragglerDetector detector;
  for (int round = 0; round < 2; ++round) {
    EXPECT_THAT(changes(detector, {1, 1.1, 2, 0.9}), IsEmpty());
    EXPECT_THAT(changes(detector, {1, 1.1, 2, 0.9}), IsEmpty());
    EXPECT_THAT(changes(detector, {1, 1.1, 2, 0.9}), ElementsAre("slow 2"));
    EXPECT_THAT(changes(detector, {1, 1.1, 3, 0.9}), IsEmpty());
    EXPECT_THAT(detector.stragglers(), ElementsAre(2));
    EXPECT_EQ(detector.slowest(), 2);
    EXPECT_EQ(detector.median(), 1);
    EXPECT_THAT(changes(detector, {1, 1, 1, 1}), IsEmpty());
    EXPECT_THAT(changes(detector, {1, 1, 1, 1}), IsEmpty());
    EXPECT_THAT(changes(detector, {1, 1, 1, 1}), ElementsAre("fast 2"));
    EXPECT_THAT(detector.stragglers(), IsEmpty());
  }
}

TEST(StragglerDetector, WindowsMustFollowEachOther) {
  StragglerDetector detector;
  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(changes(detector, {1, 2, 1}), IsEmpty());
    EXPECT_THAT(changes(detector, {1, 2, 1}), IsEmpty());
    EXPECT_THAT(changes(detector, {1, 1, 1}), IsEmpty());
    EXPECT_THAT(changes(detector, {2, 1, 1}), IsEmpty());  // another rank each time
  }
}

TEST(StragglerDetector, TheFactorIsALimitAndTheMedianTheLowerMiddle) {
  StragglerDetector of_two(1, 1.5), detector(1, 1.5);
  EXPECT_THAT(changes(of_two, {2, 3}), IsEmpty());  // 1.5 times, not over
  EXPECT_THAT(changes(of_two, {2, 3.01}), ElementsAre("slow 1"));
  EXPECT_THAT(changes(detector, {10, 1, 1}), ElementsAre("slow 0"));
  EXPECT_THAT(changes(detector, {1, 10, 1}), ElementsAre("fast 0", "slow 1"));
  EXPECT_THAT(changes(detector, {0, 0, 0}), ElementsAre("fast 1"));
  EXPECT_THAT(changes(detector, {7, 8, 9}), IsEmpty());
}

TEST(RankTimes, AreOwnWorkByRank) {
  dist::run_thread_ranks(3, [](dist::Communicator& world) {
    // Every rank's step takes as long as that of rank 2; what they wait is told by a clock of
    // theirs.
    double waited = 0;
    RankTimes times(
        world, [&] { return waited; }, 1e-9);
    for (int step = 0; step < 2; ++step) {
      times.begin_step();
      std::this_thread::sleep_for(std::chrono::milliseconds(30));
      waited += 0.01 * (2 - world.rank());
      times.end_step();
    }
    EXPECT_EQ(times.is_due(), world.rank() == 0);
    const std::vector<double> seconds = times.gather();
    ASSERT_EQ(seconds.size(), world.rank() == 0 ? 3U : 0U);
    for (size_t rank = 0; rank < seconds.size(); ++rank) {
      EXPECT_GE(seconds[rank], 0.01 + 0.01 * static_cast<double>(rank)) << rank;
    }
    EXPECT_FALSE(times.is_due());  // no step since
  });
}

TEST(RankTimes, AreNotTakenWhereNobodyAsks) {
  dist::run_thread_ranks(2, [](dist::Communicator& world) {
    RankTimes never(
        world, [] { return 0.0; }, 0),
        unknown(world, nullptr, 1e-9);
    for (RankTimes* times : {&never, &unknown}) {
      times->begin_step();
      times->end_step();
      EXPECT_FALSE(times->is_due());
    }
  });
}

}  // namespace
}  // namespace longhaul::trainer
