#include "launch/run_lock.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>

#include "dist/thread_communicator.h"
#include "kernels/core/error.h"

namespace longhaul::launch {
namespace {

class RunLockTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(::testing::TempDir()) /
              ("longhaul_run_lock_" + std::to_string(getpid()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  /// What a job of one rank is told; empty: it got the folder.
  std::string refusal(double patience_s = 0.1) const {
    const auto world = dist::solo_communicator();
    try {
      const RunLock lock(folder_, *world, patience_s);
    } catch (const core::InputError& error) {
      return error.what();
    }
    return "";
  }

  std::filesystem::path folder_;
};

TEST_F(RunLockTest, ASecondJobIsToldWhoWrites) {
  const auto world = dist::solo_communicator();
  {
    const RunLock lock(folder_, *world, 0);
    EXPECT_THAT(refusal(), ::testing::AllOf(::testing::HasSubstr(std::to_string(getpid())),
                                            ::testing::HasSubstr("is writing to this run")));
  }
  EXPECT_EQ(refusal(), "");
}

TEST_F(RunLockTest, EveryRankThatLivesOnKeepsTheFolder) {
  for (int survivor = 0; survivor < 3; ++survivor) {
    std::optional<RunLock> held;  // by one rank, after the others have ended
    dist::run_thread_ranks(3, [&](dist::Communicator& world) {
      RunLock lock(folder_, world, 0);
      world.barrier();
      if (world.rank() == survivor) held.emplace(std::move(lock));
    });
    EXPECT_NE(refusal(), "") << survivor;
    held.reset();
    EXPECT_EQ(refusal(), "") << survivor;
  }
}

TEST_F(RunLockTest, WaitsForTheLastRankToEnd) {
  const auto world = dist::solo_communicator();
  std::optional<RunLock> held;
  held.emplace(folder_, *world, 0);
  std::atomic<bool> released = false;
  std::thread ending([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    released = true;
    held.reset();
  });
  EXPECT_EQ(refusal(30), "");
  EXPECT_TRUE(released);
  ending.join();
}

TEST_F(RunLockTest, MayWaitLongerThanTheTimeLimit) {
  const auto other = dist::solo_communicator();
  std::optional<RunLock> held;
  held.emplace(folder_, *other, 0);
  std::thread ending([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(900));
    held.reset();
  });
  const auto body = [&](dist::Communicator& world) { const RunLock lock(folder_, world, 30); };
  dist::run_thread_ranks(3, body, 0.2);
  ending.join();
}

TEST_F(RunLockTest, TheLockOfALostHostIsNamed) {
  const auto world = dist::solo_communicator();
  const RunLock lock(folder_, *world, 0);
  EXPECT_THAT(refusal(), ::testing::HasSubstr("delete " + (folder_ / ".lock").string()));
  EXPECT_GE(kLockPatienceS, 120);  // beyond NFS's lease
}

TEST_F(RunLockTest, AFolderThatCannotBeWrittenIsNamed) {
  std::filesystem::create_directory(folder_ / ".lock");
  const auto world = dist::solo_communicator();
  EXPECT_THROW(RunLock(folder_, *world, 0), core::Error);
}

}  // namespace
}  // namespace longhaul::launch
