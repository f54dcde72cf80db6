// What the NCCL communicator makes of faults that hardware would have to have: ranks that hang, die
// or come late, calls that do not come back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "dist/thread_communicator.h"
#include "kernels/core/error.h"
#include "tests/nccl/fake_nccl.h"
#include "tests/nccl/nccl_rank.h"

namespace longhaul::test {
namespace {

using dist::Communicator;
using dist::NcclOptions;
using dist::run_thread_ranks;
using ::testing::AnyOf;
using ::testing::HasSubstr;

/// Runs three ranks of which one does otherwise; the messages of the failures, by rank.
std::vector<std::string> failures(const NcclOptions& options,
                                  const std::function<void(NcclRank&, Communicator&)>& body) {
  std::vector<std::string> messages(3);
  run_thread_ranks(
      3,
      [&](Communicator& bootstrap) {
        NcclRank rank(bootstrap, options);
        try {
          body(rank, bootstrap);
        } catch (const core::Error& error) {
          messages[static_cast<size_t>(bootstrap.rank())] = error.what();
        }
        rank.synchronize();  // nothing may hang on the device
        bootstrap.barrier();
      },
      30);
  EXPECT_EQ(nccl_communicators(), 0);
  return messages;
}

class NcclFault : public ::testing::Test {
 protected:
  ~NcclFault() override {
    nccl_faults().size = 0;
    nccl_faults().hangs = -1;
    nccl_faults().loses_peer = -1;
    nccl_faults().aborts_block = false;
    nccl_faults().sums_block = false;
  }
  void arrange(std::atomic<int>& fault, int rank) {
    nccl_faults().size = 3;
    fault = rank;
  }
  /// Sums until something fails.
  static void sum_on(NcclRank& rank) {
    std::vector<float> values(64, 1.0f);
    rank.session.set_activity("step 17");
    const auto start = std::chrono::steady_clock::now();
    auto pending = rank.session.world().start_all_reduce_sum(rank.on_device(values));
    while (!pending->test()) {
      ASSERT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
      std::this_thread::yield();
    }
  }
};

TEST_F(NcclFault, ACollectiveThatHangsIsAbortedAndNamedWithItsRank) {
  arrange(nccl_faults().hangs, 1);
  const auto messages =
      failures({.time_limit_s = 0.5}, [](NcclRank& rank, Communicator&) { sum_on(rank); });
  int timed_out = 0;
  for (int r = 0; r < 3; ++r) {
    const std::string& message = messages[static_cast<size_t>(r)];
    EXPECT_THAT(message, HasSubstr("rank " + std::to_string(r) + ": "));
    EXPECT_THAT(message, HasSubstr("all_reduce_sum of 256 bytes"));
    EXPECT_THAT(message, HasSubstr("at step 17"));
    timed_out += message.find("did not finish within 0.5 s") != std::string::npos ? 1 : 0;
  }
  EXPECT_GE(timed_out, 1);
}

TEST_F(NcclFault, AnErrorOfNcclIsSeenWithoutAskingForIt) {
  arrange(nccl_faults().loses_peer, 2);
  const auto messages =
      failures({.time_limit_s = 20}, [](NcclRank& rank, Communicator&) { sum_on(rank); });
  EXPECT_THAT(messages[2], HasSubstr("rank 2: NCCL: remote process exited"));
  for (const auto& message : messages) EXPECT_THAT(message, HasSubstr("remote process exited"));
}

TEST_F(NcclFault, ARankThatNeverComesIsATimeOutOfTheOthers) {
  const auto messages = failures({.time_limit_s = 0.5}, [](NcclRank& rank, Communicator&) {
    if (rank.session.world().rank() != 1) sum_on(rank);
  });
  EXPECT_THAT(messages[0], HasSubstr("all_reduce_sum of 256 bytes"));
  EXPECT_THAT(messages[2], HasSubstr("all_reduce_sum of 256 bytes"));
  // Who timed out names it; the other may have heard of that first.
  EXPECT_THAT(messages[0] + messages[2], HasSubstr("rank 1 waits in "));
}

/// Alive, but at something else: a kernel that does not end, a loop on the host.
TEST_F(NcclFault, ARankThatIsAtSomethingElseIsNamed) {
  std::atomic<int> failed{0};
  const auto messages = failures({.time_limit_s = 0.5}, [&](NcclRank& rank, Communicator&) {
    while (rank.session.world().rank() == 1 && failed < 2) std::this_thread::yield();
    if (rank.session.world().rank() == 1) return;
    try {
      sum_on(rank);
    } catch (const core::Error&) {
      ++failed;
      throw;
    }
  });
  EXPECT_THAT(messages[0] + messages[2],
              HasSubstr("rank 1 waits in its own work, nothing under way over NCCL"));
  EXPECT_THAT(messages[0] + messages[2],
              HasSubstr(" waits in all_reduce_sum of 256 bytes (operation 1 over NCCL)"));
}

/// All say that they are busy, but they wait for each other.
TEST_F(NcclFault, ACollectiveThatHangsInsideBusyWorkIsAborted) {
  arrange(nccl_faults().hangs, 1);
  const auto messages =
      failures({.time_limit_s = 0.5}, [](NcclRank& rank, Communicator& bootstrap) {
        const dist::Busy busy(bootstrap, "evaluating");
        sum_on(rank);
      });
  for (const auto& message : messages) EXPECT_THAT(message, HasSubstr("all_reduce_sum"));
}

/// As NCCL's may, while a kernel of another communicator runs or a rank of this node hangs.
TEST_F(NcclFault, AnAbortThatBlocksHoldsUpNeitherTheFailureNorTheEndOfTheJob) {
  arrange(nccl_faults().hangs, 1);
  nccl_faults().aborts_block = true;
  std::atomic<int> ended{0}, noticed{0};
  NcclOptions options{.time_limit_s = 0.3, .grace_s = 0.3};
  options.end_job = [&](const std::string&) { ++ended; };
  const auto messages = failures(options, [&](NcclRank& rank, Communicator&) {
    const auto second = rank.session.world().split(0, 0);
    try {
      sum_on(rank);
    } catch (const core::Error&) {
      ++noticed;
      // Nothing comes of what this rank does about it: it is ended all the same.
      const auto start = std::chrono::steady_clock::now();
      while (ended < 3 && std::chrono::steady_clock::now() - start < std::chrono::seconds(10)) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
      nccl_faults().aborts_block = false;
      throw;
    }
  });
  EXPECT_EQ(noticed, 3);
  EXPECT_EQ(ended, 3);
  for (const auto& message : messages) EXPECT_THAT(message, HasSubstr("all_reduce_sum"));
}

TEST_F(NcclFault, ACallThatDoesNotComeBackIsEnded) {
  nccl_faults().sums_block = true;
  std::atomic<int> ended{0};
  std::string told;
  NcclOptions options{.time_limit_s = 0.3, .grace_s = 0.3};
  options.end_job = [&](const std::string& message) {
    if (ended++ == 0) told = message;
    if (ended == 3) nccl_faults().sums_block = false;
  };
  failures(options, [&](NcclRank& rank, Communicator&) { sum_on(rank); });
  EXPECT_EQ(ended, 3);
  EXPECT_THAT(told, HasSubstr("a call to CUDA or NCCL did not come back within 0.3 s"));
}

/// Its communicators are aborted, not ended: that would wait for ranks which wait for this one.
TEST_F(NcclFault, ARankThatIsUnwoundReleasesTheOthers) {
  std::vector<std::string> messages(3);
  run_thread_ranks(3, [&](Communicator& bootstrap) {
    try {
      NcclRank rank(bootstrap, {.time_limit_s = 20});
      bootstrap.barrier();
      if (bootstrap.rank() == 1) throw core::Error("no such token");
      sum_on(rank);
    } catch (const core::Error& error) {
      messages[static_cast<size_t>(bootstrap.rank())] = error.what();
    }
    bootstrap.barrier();
  });
  EXPECT_EQ(messages[1], "no such token");
  EXPECT_THAT(messages[0], HasSubstr("remote process exited"));
  EXPECT_THAT(messages[2], HasSubstr("remote process exited"));
  EXPECT_EQ(nccl_communicators(), 0);
}

TEST_F(NcclFault, AMessageThatNeverComesNamesThePeer) {
  const auto messages = failures({.time_limit_s = 0.5}, [](NcclRank& rank, Communicator&) {
    std::vector<float> values(4);
    rank.session.world()
        .start_receive(rank.on_device(values), (rank.session.world().rank() + 1) % 3, 5)
        ->wait();
  });
  // Whoever notices first; the others may hear of that before their own time is up.
  int timed_out = 0;
  for (int r = 0; r < 3; ++r) {
    const std::string own = core::message("rank ", r, ": receive of 16 bytes from rank ",
                                          (r + 1) % 3, " of 3 did not finish within 0.5 s; ");
    const std::string& message = messages[static_cast<size_t>(r)];
    timed_out += message.starts_with(own) ? 1 : 0;
    EXPECT_THAT(message, AnyOf(HasSubstr(own), HasSubstr("remote process exited")));
  }
  EXPECT_GE(timed_out, 1);
}

TEST_F(NcclFault, AMessageOfAnotherSizeIsAnError) {
  const auto messages = failures({.time_limit_s = 5}, [](NcclRank& rank, Communicator&) {
    std::vector<float> three(3), four(4);
    Communicator& world = rank.session.world();
    if (world.rank() == 0) world.start_send(rank.on_device(three), 1, 0)->wait();
    if (world.rank() == 1) world.start_receive(rank.on_device(four), 0, 0)->wait();
  });
  EXPECT_EQ(messages[1], "rank 1: a message of 12 bytes came from rank 0 where 16 were expected");
}

/// A rank that does not look at its operations (it hangs in a kernel) is ended from outside.
TEST_F(NcclFault, ARankThatHangsElsewhereIsEnded) {
  arrange(nccl_faults().hangs, 0);
  std::atomic<int> ended{0};
  std::string told;
  NcclOptions options{.time_limit_s = 0.3, .grace_s = 0.3};
  options.end_job = [&](const std::string& message) {
    if (ended++ == 0) told = message;
  };
  const auto messages = failures(options, [&](NcclRank& rank, Communicator&) {
    std::vector<float> values(64, 1.0f);
    auto pending = rank.session.world().start_all_reduce_sum(rank.on_device(values));
    for (int i = 0; i < 400 && ended < 3; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    pending->wait();
  });
  EXPECT_EQ(ended, 3);
  EXPECT_THAT(told, HasSubstr("all_reduce_sum of 256 bytes"));
  for (const auto& message : messages) EXPECT_THAT(message, HasSubstr("all_reduce_sum"));
}

}  // namespace
}  // namespace longhaul::test
