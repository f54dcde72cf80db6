// What ranks find where they run, and what becomes of it: facts written by hand.
#include "launch/environment/environment_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "dist/thread_communicator.h"
#include "launch/environment/clock_offset.h"
#include "launch/environment/shared_folder.h"

namespace longhaul::launch {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kGiB = int64_t{1} << 30;

/// Two ranks on host a, two on b; nothing is wrong with them.
std::vector<RankFacts> good_facts() {
  std::vector<RankFacts> facts(4);
  for (int rank = 0; rank < 4; ++rank) {
    RankFacts& own = facts[static_cast<size_t>(rank)];
    own.rank = rank;
    own.pid = 100 + rank;
    own.host = rank < 2 ? "a" : "b";
    own.version = "1.0";
    own.build = "c0ffee";
    own.mpi = "Open MPI v4.1.4";
    own.cuda = "driver 13.0, runtime 13.0";
    own.device = "NVIDIA H100";
    own.device_bytes = 80 * kGiB;
    own.interfaces = {"eth0", "ib0"};
    own.cores = own.threads = 8;
    own.folder_free_bytes = 100 * kGiB;
    own.shm_free_bytes = 8 * kGiB;
  }
  return facts;
}

const EnvironmentNeeds kNeeds{.folder = "runs/x", .checkpoint_bytes = 10 * kGiB};

EnvironmentVerdict judged(const std::vector<RankFacts>& facts) {
  return judge_environment(facts, kNeeds);
}

TEST(EnvironmentCheck, NothingIsWrong) {
  const EnvironmentVerdict verdict = judged(good_facts());
  EXPECT_THAT(verdict.refusals, IsEmpty());
  EXPECT_THAT(verdict.warnings, IsEmpty());
  EXPECT_EQ(verdict_text(verdict), "ok");
}

TEST(EnvironmentCheck, RefusesOtherVersions) {
  auto facts = good_facts();
  facts[3].build = "badcab";
  EXPECT_THAT(judged(facts).refusals,
              ElementsAre("rank 3 (host b) runs longhaul 1.0 build badcab, rank 0 (host a) 1.0 "
                          "build c0ffee"));
  facts[2].build = facts[3].build;  // the same of both: one line
  EXPECT_THAT(judged(facts).refusals, ElementsAre(HasSubstr("ranks 2-3 (host b) runs longhaul")));
  facts = good_facts();
  facts[1].version = "0.9";
  facts[2].mpi = "Open MPI v5.0.0";
  EXPECT_THAT(judged(facts).refusals,
              ElementsAre(HasSubstr("rank 1 (host a) runs longhaul 0.9"),
                          "rank 2 (host b) runs MPI Open MPI v5.0.0, rank 0 (host a) Open MPI "
                          "v4.1.4"));
  EXPECT_THAT(verdict_text(judged(facts)), "refused");
}

TEST(EnvironmentCheck, RefusesAFolderThatIsNotShared) {
  auto facts = good_facts();
  facts[2].sees_folder = facts[3].sees_folder = false;
  facts[2].folder_free_bytes = 0;  // of another file system: of no interest
  EXPECT_THAT(judged(facts).refusals,
              ElementsAre("ranks 2-3 (host b) does not see what rank 0 (host a) wrote in runs/x, "
                          "expected a file system that all hosts share"));
}

TEST(EnvironmentCheck, RefusesAFullDisk) {
  auto facts = good_facts();
  for (RankFacts& rank : facts) rank.folder_free_bytes = kNeeds.checkpoint_bytes;
  EXPECT_THAT(judged(facts).refusals, IsEmpty());  // just enough
  facts[0].folder_free_bytes -= kGiB;
  facts[1].folder_free_bytes -= kGiB / 2;  // looked a moment later: one thing all the same
  EXPECT_THAT(
      judged(facts).refusals,
      ElementsAre("ranks 0-1 (host a) has 9.0 GiB free in runs/x, a checkpoint takes 10.0 GiB"));
  facts[0].folder_free_bytes = facts[1].folder_free_bytes = -1;  // not known
  EXPECT_THAT(judged(facts).refusals, IsEmpty());
}

TEST(EnvironmentCheck, WarnsOfClocksBeyondTheUncertainty) {
  auto facts = good_facts();
  facts[1].clock_offset_s = 1.4;
  facts[1].clock_uncertainty_s = 0.5;  // may be 0.9 s
  EXPECT_THAT(judged(facts).warnings, IsEmpty());
  facts[1].clock_uncertainty_s = 0.1;
  facts[3].clock_offset_s = -70;
  EXPECT_THAT(judged(facts).warnings,
              ElementsAre("rank 1 (host a) has a clock 1.4 s ahead of that of rank 0 (host a)",
                          "rank 3 (host b) has a clock 70.0 s behind that of rank 0 (host a)"));
  EXPECT_THAT(judged(facts).refusals, IsEmpty());
  EXPECT_THAT(verdict_text(judged(facts)), "2 warnings");
}

TEST(EnvironmentCheck, WarnsOfMixedDevices) {
  auto facts = good_facts();
  facts[2].device_bytes = 40 * kGiB;
  facts[3].device = "cpu";
  facts[3].device_bytes = -1;
  facts[3].cuda = "";
  EXPECT_THAT(judged(facts).warnings,
              ElementsAre("rank 2 (host b) computes on NVIDIA H100 40.0 GiB, rank 0 (host a) "
                          "NVIDIA H100 80.0 GiB",
                          HasSubstr("rank 3 (host b) computes on cpu, "),
                          HasSubstr("rank 3 (host b) has CUDA none, rank 0 (host a) driver 13.0")));
}

TEST(EnvironmentCheck, WarnsOfBoundCoresAndOfSharedMemory) {
  auto facts = good_facts();
  facts[1].cores = 1;
  facts[2].shm_free_bytes = facts[3].shm_free_bytes = int64_t{20} << 20;
  EXPECT_THAT(
      judged(facts).warnings,
      ElementsAre(HasSubstr("rank 1 (host a) may run on 1 core with 8 threads"),
                  "ranks 2-3 (host b) has 20.0 MiB free in /dev/shm for 2 ranks' messages"));
  facts.pop_back();  // one rank a host needs none
  facts[1].cores = 8;
  EXPECT_THAT(judged(facts).warnings, IsEmpty());
}

TEST(EnvironmentCheck, WarnsOfAHostWhoseRanksNeedMoreThanItHas) {
  auto facts = good_facts();
  for (RankFacts& rank : facts) rank.memory_free_bytes = 20 * kGiB;
  EnvironmentNeeds needs = kNeeds;
  needs.memory_bytes = 10 * kGiB;
  EXPECT_THAT(judge_environment(facts, needs).warnings, IsEmpty());
  facts[1].memory_free_bytes = 19 * kGiB;
  EXPECT_THAT(judge_environment(facts, needs).warnings,
              ElementsAre("ranks 0-1 (host a) has 19.0 GiB of memory left, its 2 ranks are planned "
                          "to take 20.0 GiB"));
  for (RankFacts& rank : facts) rank.memory_free_bytes = -1;
  EXPECT_THAT(judge_environment(facts, needs).warnings, IsEmpty());
}

TEST(EnvironmentCheck, RefusesADeviceThatIsTooSmall) {
  EnvironmentNeeds needs = kNeeds;
  needs.device_bytes = 80 * kGiB;
  EXPECT_THAT(judge_environment(good_facts(), needs).refusals, IsEmpty());
  needs.device_bytes += kGiB;
  EXPECT_THAT(
      judge_environment(good_facts(), needs).refusals,
      ElementsAre(HasSubstr("ranks 0-1 (host a) has a device of 80.0 GiB, a rank is planned "
                            "to take 81.0 GiB"),
                  HasSubstr("ranks 2-3 (host b)")));
}

TEST(EnvironmentCheck, RefusesADtypeThatADeviceHasTooLittleSharedMemoryFor) {
  std::vector<RankFacts> facts = good_facts();
  EnvironmentNeeds needs = kNeeds;
  needs.block_bytes = int64_t{163} << 10;
  EXPECT_THAT(judge_environment(facts, needs).refusals, IsEmpty());
  for (RankFacts& rank : facts) rank.block_bytes = needs.block_bytes;
  EXPECT_THAT(judge_environment(facts, needs).refusals, IsEmpty());
  facts[3].block_bytes = int64_t{99} << 10;
  facts[3].device = "NVIDIA A10";
  EXPECT_THAT(judge_environment(facts, needs).refusals,
              ElementsAre("rank 3 (host b) has a device (NVIDIA A10) with 99 KiB of shared memory, "
                          "this dtype takes 163 KiB, expected run.dtype: bf16"));
  needs.block_bytes = 0;
  EXPECT_THAT(judge_environment(facts, needs).refusals, IsEmpty());
}

TEST(EnvironmentTable, HasARowForEqualRanksOfAHost) {
  auto facts = good_facts();
  const auto lines = [&] {
    const std::string table = environment_table(facts);
    return std::count(table.begin(), table.end(), '\n');
  };
  EXPECT_EQ(lines(), 3);
  facts[3].clock_offset_s = -0.25;
  facts[3].clock_uncertainty_s = 0.001;
  facts[2].folder_free_bytes = 50 * kGiB;
  EXPECT_EQ(lines(), 3);
  EXPECT_THAT(environment_table(facts),
              ::testing::ContainsRegex("b +2-3 +102-103 +1\\.0 build c0ffee .*eth0,ib0 +-0\\.250 "
                                       "±0\\.001 s +50\\.0 GiB"));
  facts[3].cores = 4;
  EXPECT_EQ(lines(), 4);
}

TEST(EnvironmentTable, Ranges) {
  EXPECT_EQ(number_ranges({}), "");
  EXPECT_EQ(number_ranges({4}), "4");
  EXPECT_EQ(number_ranges({0, 1, 2, 5, 7, 8}), "0-2,5,7-8");
}

TEST(RankFacts, TravelWhole) {
  const auto of_rank = [](int rank) {
    RankFacts facts = good_facts()[static_cast<size_t>(rank)];
    facts.host += std::string(static_cast<size_t>(rank), '\xff') + "\"\n";  // any bytes
    facts.clock_offset_s = 0.1 * rank;
    facts.sees_folder = rank != 2;
    return facts;
  };
  dist::run_thread_ranks(4, [&](dist::Communicator& world) {
    const auto all = gather_facts(world, of_rank(world.rank()));
    ASSERT_EQ(all.size(), world.rank() == 0 ? 4U : 0U);
    for (size_t r = 0; r < all.size(); ++r) {
      const RankFacts expected = of_rank(static_cast<int>(r));
      EXPECT_EQ(all[r].rank, static_cast<int>(r));
      EXPECT_EQ(all[r].pid, expected.pid);
      EXPECT_EQ(all[r].host.substr(0, 1), expected.host.substr(0, 1));
      EXPECT_EQ(all[r].cuda, expected.cuda);
      EXPECT_EQ(all[r].device_bytes, expected.device_bytes);
      EXPECT_EQ(all[r].block_bytes, expected.block_bytes);
      EXPECT_EQ(all[r].interfaces, expected.interfaces);
      EXPECT_EQ(all[r].clock_offset_s, expected.clock_offset_s);
      EXPECT_EQ(all[r].sees_folder, expected.sees_folder);
    }
  });
}

TEST(RankFacts, OfThisProcess) {
  const RankFacts facts = own_facts(3);
  EXPECT_EQ(facts.rank, 3);
  EXPECT_EQ(facts.pid, getpid());
  EXPECT_FALSE(facts.host.empty());
  EXPECT_THAT(facts.build, ::testing::MatchesRegex("[0-9a-f]*"));
  EXPECT_GE(facts.cores, 1);
  EXPECT_GT(free_bytes("/"), 0);
  EXPECT_GT(facts.memory_free_bytes, 0);
  EXPECT_EQ(free_bytes("/nowhere"), -1);
}

TEST(ClockOffset, IsFoundWithinItsUncertainty) {
  dist::run_thread_ranks(3, [](dist::Communicator& world) {
    const double ahead = 5 * world.rank();
    const ClockOffset offset = measure_clock_offset(world, [&] { return clock_now() + ahead; });
    EXPECT_LE(std::abs(offset.seconds - ahead), offset.uncertainty + 1e-6);
    EXPECT_EQ(offset.uncertainty == 0, world.rank() == 0);
  });
}

TEST(SharedFolder, IsSeenAndLeftAsItWas) {
  const fs::path folder =
      fs::path(::testing::TempDir()) / ("longhaul_shared_" + std::to_string(getpid()));
  fs::create_directories(folder / "other");
  dist::run_thread_ranks(3, [&](dist::Communicator& world) {
    EXPECT_TRUE(sees_file_of_first_rank(world, folder));
    // A host whose folder of that name is another one.
    const bool is_other = world.rank() == 2;
    EXPECT_EQ(sees_file_of_first_rank(world, is_other ? folder / "other" : folder), !is_other);
  });
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), {}), 1);
  EXPECT_TRUE(fs::is_empty(folder / "other"));
  EXPECT_EQ(existing_folder(folder / "not" / "yet"), folder);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace longhaul::launch
