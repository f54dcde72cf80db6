// The communicator's own logic (order, tags, time limits, abort, messages) on a test double of
// NCCL: the contract suites and the faults that hardware would have to have. What the double cannot
// show is in tests/README.md.
#include "dist/nccl_communicator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>
#include <tuple>

#include "dist/thread_communicator.h"
#include "kernels/core/error.h"
#include "tests/dist/busy_contract.h"
#include "tests/dist/communicator_contract.h"
#include "tests/dist/exchange_contract.h"
#include "tests/dist/halo_contract.h"
#include "tests/dist/reducer_contract.h"
#include "tests/nccl/fake_device.h"
#include "tests/nccl/fake_nccl.h"
#include "tests/nccl/staging_communicator.h"

namespace longhaul::test {
namespace {

using dist::NcclOptions;
using dist::NcclSession;
using dist::run_thread_ranks;
using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr core::Device kDevice{.kind = core::DeviceKind::kCuda, .index = 0};

/// A rank's device and session.
struct Rank {
  explicit Rank(Communicator& bootstrap, NcclOptions options = {})
      : session(bootstrap, with_device(std::move(options)), fake_device_runtime()) {}
  ~Rank() { runtime->synchronize(stream.get()); }
  NcclOptions with_device(NcclOptions options) {
    options.device = kDevice;
    options.compute_stream = stream.get();
    return options;
  }
  core::TensorView on_device(std::vector<float>& values) const {
    return {values.data(), core::DType::kF32, {static_cast<int64_t>(values.size())}, kDevice};
  }
  void synchronize() { runtime->synchronize(stream.get()); }

  std::unique_ptr<dist::DeviceRuntime> runtime = fake_device_runtime();
  std::unique_ptr<FakeStream> stream = std::make_unique<FakeStream>();
  NcclSession session;
};

class Nccl : public ::testing::TestWithParam<std::tuple<RankCase, int>> {};

TEST_P(Nccl, run) {
  const auto& [rank_case, ranks] = GetParam();
  const auto& body = rank_case.body;
  run_thread_ranks(
      ranks,
      [&](Communicator& bootstrap) {
        Rank rank(bootstrap, {.time_limit_s = 20});
        StagingDevice device{*rank.runtime, rank.stream.get(), kDevice,
                             [](int64_t bytes) { return std::malloc(static_cast<size_t>(bytes)); },
                             std::free};
        body(*staging_communicator(device, rank.session.world()));
      },
      20);
  EXPECT_EQ(nccl_communicators(), 0);
}

std::string name_of_case(const ::testing::TestParamInfo<std::tuple<RankCase, int>>& info) {
  return std::get<0>(info.param).name + "_" + std::to_string(std::get<1>(info.param)) + "_ranks";
}
std::vector<RankCase> without(std::vector<RankCase> cases, const std::string& name) {
  std::erase_if(cases, [&](const RankCase& each) { return each.name == name; });
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Contract, Nccl,
                         ::testing::Combine(::testing::ValuesIn(communicator_contract()),
                                            ::testing::Values(1, 2, 3, 4)),
                         name_of_case);
INSTANTIATE_TEST_SUITE_P(Exchange, Nccl,
                         ::testing::Combine(::testing::ValuesIn(exchange_contract()),
                                            ::testing::Values(2, 3, 4)),
                         name_of_case);
INSTANTIATE_TEST_SUITE_P(Halo, Nccl,
                         ::testing::Combine(::testing::ValuesIn(halo_contract()),
                                            ::testing::Values(2, 3, 4)),
                         name_of_case);
// Staged results come back to the host with wait() only.
INSTANTIATE_TEST_SUITE_P(
    Reducer, Nccl,
    ::testing::Combine(::testing::ValuesIn(without(reducer_contract(),
                                                   "reduction_runs_before_finish")),
                       ::testing::Values(1, 2, 3)),
    name_of_case);

TEST(NcclCommunicator, HostMemoryKeepsTheHostsOrderOfSums) {
  run_thread_ranks(3, [](Communicator& bootstrap) {
    Rank rank(bootstrap);
    for (const RankCase& each : message_contract()) each.body(rank.session.world());
  });
}

TEST(NcclCommunicator, WaitsForABusyRank) {
  for (const RankCase& each : busy_contract()) {
    SCOPED_TRACE(each.name);
    run_thread_ranks(
        3,
        [&](Communicator& bootstrap) {
          Rank rank(bootstrap, {.time_limit_s = kBusyTimeLimit});
          each.body(rank.session.world());
        },
        kBusyTimeLimit);
  }
}

TEST(NcclCommunicator, WaitsForTheDataAndLetsTheHostGoOn) {
  run_thread_ranks(2, [](Communicator& bootstrap) {
    Rank rank(bootstrap);
    std::vector<float> values(1000, -1.0f);
    // The value is computed late, on the compute stream; the sum must be of that.
    std::atomic<bool> released{false};
    rank.stream->push([&] {
      while (!released) std::this_thread::yield();
      std::fill(values.begin(), values.end(), 2.0f);
    });
    auto pending = rank.session.world().start_all_reduce_sum(rank.on_device(values));
    pending->wait();  // does not wait for the device
    EXPECT_FALSE(pending->test());
    float after = 0;
    rank.stream->push([&] { after = values[999]; });
    released = true;
    rank.synchronize();
    EXPECT_EQ(after, 4.0f) << "the compute stream did not wait for the sum";
    EXPECT_TRUE(pending->test());
  });
}

/// What ZeRO-1 does between the ranks, in place on device memory.
TEST(NcclCommunicator, ScattersGradientsAndGathersParametersInPlace) {
  constexpr int64_t kElements = 1000;
  run_thread_ranks(3, [](Communicator& bootstrap) {
    Rank rank(bootstrap);
    Communicator& world = rank.session.world();
    const dist::ShardLayout layout({.elements = kElements, .ranks = 3, .bucket = 96, .block = 16});
    std::vector<float> gradients(kElements), values(kElements, -1.0f);
    for (size_t i = 0; i < gradients.size(); ++i) {
      gradients[i] = static_cast<float>(i) * static_cast<float>(world.rank() + 1);
    }
    dist::GradientReducer reducer(world, rank.on_device(gradients), layout);
    reducer.ready(500, kElements);
    reducer.ready(0, 500);
    reducer.finish();
    dist::ShardGather gather(world, rank.on_device(values), layout);
    for (const auto& bucket : layout.buckets()) {
      const dist::Piece piece = layout.piece(bucket, world.rank());
      rank.stream->push([&values, &gradients, piece] {
        for (int64_t i = piece.begin; i < piece.end; ++i) {
          values[static_cast<size_t>(i)] = gradients[static_cast<size_t>(i)];
        }
      });
      gather.start(bucket);
    }
    gather.finish();
    rank.synchronize();
    expect_values(
        values, [](int64_t i) { return 6 * i; }, "sums over three ranks");
  });
}

/// Runs three ranks of which one does otherwise; the messages of the failures, by rank.
std::vector<std::string> failures(const NcclOptions& options,
                                  const std::function<void(Rank&, Communicator&)>& body) {
  std::vector<std::string> messages(3);
  run_thread_ranks(
      3,
      [&](Communicator& bootstrap) {
        Rank rank(bootstrap, options);
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
  }
  void arrange(std::atomic<int>& fault, int rank) {
    nccl_faults().size = 3;
    fault = rank;
  }
  /// Sums until something fails.
  static void sum_on(Rank& rank) {
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
      failures({.time_limit_s = 0.5}, [](Rank& rank, Communicator&) { sum_on(rank); });
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
      failures({.time_limit_s = 20}, [](Rank& rank, Communicator&) { sum_on(rank); });
  EXPECT_THAT(messages[2], HasSubstr("rank 2: NCCL: remote process exited"));
  for (const auto& message : messages) EXPECT_THAT(message, HasSubstr("remote process exited"));
}

TEST_F(NcclFault, ARankThatNeverComesIsATimeOutOfTheOthers) {
  const auto messages = failures({.time_limit_s = 0.5}, [](Rank& rank, Communicator&) {
    if (rank.session.world().rank() != 1) sum_on(rank);
  });
  EXPECT_THAT(messages[0], HasSubstr("all_reduce_sum of 256 bytes"));
  EXPECT_THAT(messages[2], HasSubstr("all_reduce_sum of 256 bytes"));
}

TEST_F(NcclFault, AMessageThatNeverComesNamesThePeer) {
  const auto messages = failures({.time_limit_s = 0.5}, [](Rank& rank, Communicator&) {
    std::vector<float> values(4);
    rank.session.world()
        .start_receive(rank.on_device(values), (rank.session.world().rank() + 1) % 3, 5)
        ->wait();
  });
  // Whoever notices first; the others may hear of that before their own time is up.
  int timed_out = 0;
  for (int r = 0; r < 3; ++r) {
    const std::string own = core::message("rank ", r, ": receive of 16 bytes from rank ",
                                          (r + 1) % 3, " of 3 did not finish within 0.5 s");
    timed_out += messages[static_cast<size_t>(r)] == own ? 1 : 0;
    EXPECT_THAT(messages[static_cast<size_t>(r)], AnyOf(own, HasSubstr("remote process exited")));
  }
  EXPECT_GE(timed_out, 1);
}

TEST_F(NcclFault, AMessageOfAnotherSizeIsAnError) {
  const auto messages = failures({.time_limit_s = 5}, [](Rank& rank, Communicator&) {
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
  const auto messages = failures(options, [&](Rank& rank, Communicator&) {
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
