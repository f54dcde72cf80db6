// The communicator's own logic (order, tags, groups, busy ranks) on a test double of NCCL: the
// contract suites. What the double cannot show is in tests/README.md.
#include "dist/nccl_communicator.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <string>
#include <tuple>

#include "dist/thread_communicator.h"
#include "kernels/core/error.h"
#include "tests/dist/busy_contract.h"
#include "tests/dist/communicator_contract.h"
#include "tests/dist/exchange_contract.h"
#include "tests/dist/halo_contract.h"
#include "tests/dist/reducer_contract.h"
#include "tests/nccl/fake_nccl.h"
#include "tests/nccl/nccl_rank.h"

namespace longhaul::test {
namespace {

using dist::run_thread_ranks;

class Nccl : public ::testing::TestWithParam<std::tuple<RankCase, int>> {};

TEST_P(Nccl, run) {
  const auto& [rank_case, ranks] = GetParam();
  const auto& body = rank_case.body;
  run_thread_ranks(
      ranks,
      [&](Communicator& bootstrap) {
        NcclRank rank(bootstrap, {.time_limit_s = 20});
        StagingDevice device = rank.staging();
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
    NcclRank rank(bootstrap);
    for (const RankCase& each : message_contract()) each.body(rank.session.world());
  });
}

TEST(NcclCommunicator, WaitsForABusyRank) {
  for (const RankCase& each : busy_contract()) {
    SCOPED_TRACE(each.name);
    run_thread_ranks(
        3,
        [&](Communicator& bootstrap) {
          NcclRank rank(bootstrap, {.time_limit_s = kBusyTimeLimit});
          each.body(rank.session.world());
        },
        kBusyTimeLimit);
  }
}

/// What ends the busy work is an operation on device memory.
TEST(NcclCommunicator, WaitsForABusyRankOnTheDeviceToo) {
  for (const RankCase& each : busy_contract()) {
    SCOPED_TRACE(each.name);
    run_thread_ranks(
        3,
        [&](Communicator& bootstrap) {
          NcclRank rank(bootstrap, {.time_limit_s = kBusyTimeLimit});
          StagingDevice device = rank.staging();
          each.body(*staging_communicator(device, rank.session.world()));
        },
        kBusyTimeLimit);
  }
}

/// Pairs of ranks beside the collectives: kernels of both must find multiprocessors.
TEST(NcclCommunicator, OnlyMessagesWithTagsHaveCommunicatorsOfTheirOwnAndTheseAreNarrow) {
  run_thread_ranks(3, [](Communicator& bootstrap) {
    const auto before = nccl_made();
    bootstrap.barrier();
    NcclRank rank(bootstrap);
    Communicator& world = rank.session.world();
    const auto alone = world.split(world.rank(), 0);
    std::vector<float> values(8, 1.0f), to(8);
    const int next = (world.rank() + 1) % 3, previous = (world.rank() + 2) % 3;
    alone->all_reduce_sum(rank.on_device(values));
    alone->all_gather(rank.on_device(values), rank.on_device(to));
    world.start_transfers({{rank.on_device(values), next}}, {{rank.on_device(to), previous}})
        ->wait();
    rank.synchronize();
    world.barrier();
    EXPECT_EQ(nccl_made().all - before.all, 3) << "one a rank";
    EXPECT_EQ(nccl_made().narrow, before.narrow);
    world.barrier();
    auto send = world.start_send(rank.on_device(values), next, 1);
    world.start_receive(rank.on_device(to), previous, 1)->wait();
    send->wait();
    rank.synchronize();
    world.barrier();
    EXPECT_EQ(nccl_made().narrow - before.narrow, 6) << "two ends of each of three pairs";
    EXPECT_EQ(nccl_made().all - before.all, 9);
    bootstrap.barrier();
  });
}

TEST(NcclCommunicator, WaitsForTheDataAndLetsTheHostGoOn) {
  run_thread_ranks(2, [](Communicator& bootstrap) {
    NcclRank rank(bootstrap);
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
    NcclRank rank(bootstrap);
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
    std::vector<float> padding(static_cast<size_t>(layout.padded()), -2.0f);
    const auto copy = [&](const core::TensorView& source, const core::TensorView& target) {
      rank.stream->push([=] { std::memcpy(target.raw(), source.raw(), size_t(source.bytes())); });
    };
    dist::ShardGather gather(world, rank.on_device(values), layout,
                             {rank.on_device(padding), copy});
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

}  // namespace
}  // namespace longhaul::test
