#include "dist/thread_communicator.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>

#include "kernels/core/error.h"
#include "tests/dist/busy_contract.h"
#include "tests/dist/communicator_contract.h"
#include "tests/dist/exchange_contract.h"
#include "tests/dist/halo_contract.h"
#include "tests/dist/liveness_contract.h"
#include "tests/dist/reducer_contract.h"

namespace longhaul::test {
namespace {

using dist::run_thread_ranks;

class Threads : public ::testing::TestWithParam<std::tuple<RankCase, int>> {};

TEST_P(Threads, run) {
  const auto& [rank_case, ranks] = GetParam();
  run_thread_ranks(ranks, rank_case.body, 20);
}

std::string name_of_case(const ::testing::TestParamInfo<std::tuple<RankCase, int>>& info) {
  return std::get<0>(info.param).name + "_" + std::to_string(std::get<1>(info.param)) + "_ranks";
}

INSTANTIATE_TEST_SUITE_P(Contract, Threads,
                         ::testing::Combine(::testing::ValuesIn(communicator_contract()),
                                            ::testing::Values(1, 2, 3, 4, 8)),
                         name_of_case);
INSTANTIATE_TEST_SUITE_P(FixedOrder, Threads,
                         ::testing::Combine(::testing::ValuesIn(message_contract()),
                                            ::testing::Values(1, 2, 3, 4, 8)),
                         name_of_case);
INSTANTIATE_TEST_SUITE_P(ManyRanks, Threads,
                         ::testing::Combine(::testing::ValuesIn(many_ranks_contract()),
                                            ::testing::Values(17, 24, 32)),
                         name_of_case);
INSTANTIATE_TEST_SUITE_P(FixedOrderOfManyRanks, Threads,
                         ::testing::Combine(::testing::ValuesIn(message_contract()),
                                            ::testing::Values(17, 24, 32)),
                         name_of_case);
INSTANTIATE_TEST_SUITE_P(Exchange, Threads,
                         ::testing::Combine(::testing::ValuesIn(exchange_contract()),
                                            ::testing::Values(1, 2, 3, 4, 5, 9)),
                         name_of_case);
INSTANTIATE_TEST_SUITE_P(Halo, Threads,
                         ::testing::Combine(::testing::ValuesIn(halo_contract()),
                                            ::testing::Values(1, 2, 3, 4, 5)),
                         name_of_case);
INSTANTIATE_TEST_SUITE_P(Reducer, Threads,
                         ::testing::Combine(::testing::ValuesIn(reducer_contract()),
                                            ::testing::Values(1, 2, 3, 4)),
                         name_of_case);
INSTANTIATE_TEST_SUITE_P(ReducerInAnyOrder, Threads,
                         ::testing::Combine(::testing::ValuesIn(reducer_cases(any_order())),
                                            ::testing::Values(2, 4)),
                         name_of_case);
INSTANTIATE_TEST_SUITE_P(Liveness, Threads,
                         ::testing::Combine(::testing::ValuesIn(liveness_contract()),
                                            ::testing::Values(2, 3)),
                         name_of_case);

TEST(SoloCommunicator, keeps_the_contract) {
  for (const RankCase& rank_case : communicator_contract()) {
    SCOPED_TRACE(rank_case.name);
    rank_case.body(*dist::solo_communicator());
  }
}

TEST(SoloCommunicator, a_part_outlives_it) {
  auto solo = dist::solo_communicator();
  const auto part = solo->split(3, 1);
  solo.reset();
  EXPECT_EQ(part->sum(1.5), 1.5);
}

TEST(ThreadFailure, the_cause_is_rethrown_and_the_others_are_released) {
  std::atomic<int> released{0};
  const auto body = [&](Communicator& group) {
    if (group.rank() == 1) throw std::runtime_error("rank 1 has had enough");
    try {
      group.barrier();
    } catch (const core::Error& error) {
      EXPECT_NE(std::string(error.what()).find("rank 1 has had enough"), std::string::npos)
          << error.what();
      ++released;
      throw;
    }
  };
  try {
    run_thread_ranks(4, body);
    FAIL() << "nothing was thrown";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "rank 1 has had enough");
  }
  EXPECT_EQ(released, 3);
}

TEST(ThreadFailure, with_operations_under_way_too) {
  const auto body = [&](Communicator& group) {
    std::vector<float> values(10000, 1.0f), never(5);
    auto sum = group.start_all_reduce_sum(view_of(values));
    auto receive = group.start_receive(view_of(never), 1, 0);
    if (group.rank() == 1) throw std::runtime_error("in the middle");
    receive->wait();
  };
  try {
    run_thread_ranks(3, body);
    FAIL() << "nothing was thrown";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "in the middle");
  }
}

TEST(ThreadTimeOut, names_the_operation_and_the_missing_rank) {
  const auto begin = std::chrono::steady_clock::now();
  const auto body = [](Communicator& group) {
    std::vector<double> values(512);
    if (group.rank() != 2) group.all_reduce_sum(view_of(values));
  };
  try {
    run_thread_ranks(4, body, 0.3);
    FAIL() << "nothing was thrown";
  } catch (const core::Error& error) {
    const std::string what = error.what();
    EXPECT_NE(what.find("all_reduce_sum of 4096 bytes did not finish within 0.3 s"),
              std::string::npos)
        << what;
    EXPECT_NE(what.find("no answer from rank 2"), std::string::npos) << what;
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST(ThreadTimeOut, a_busy_rank_is_waited_for) {
  for (const RankCase& rank_case : busy_contract()) {
    SCOPED_TRACE(rank_case.name);
    run_thread_ranks(3, rank_case.body, kBusyTimeLimit);
  }
}

TEST(ThreadTimeOut, a_rank_that_is_silent_beside_a_busy_one_is_named) {
  const auto body = [](Communicator& group) {
    if (group.rank() == 2) return;
    if (group.rank() == 1) {
      const dist::Busy busy(group, "writing");
      std::this_thread::sleep_for(std::chrono::milliseconds(1600));
    }
    group.barrier();
  };
  try {
    run_thread_ranks(3, body, kBusyTimeLimit);
    FAIL() << "nothing was thrown";
  } catch (const core::Error& error) {
    EXPECT_NE(std::string(error.what()).find("no answer from rank 2"), std::string::npos)
        << error.what();
  }
}

TEST(ThreadTimeOut, a_busy_rank_that_hangs_in_an_operation_is_found) {
  const auto body = [](Communicator& group) {
    std::vector<float> never(5);
    const dist::Busy busy(group, "evaluating");
    if (group.rank() == 1) group.receive(view_of(never), 0, 7);
    group.barrier();
  };
  EXPECT_THROW(run_thread_ranks(2, body, kBusyTimeLimit), core::Error);
}

TEST(ThreadMessages, a_wrong_size_is_an_error) {
  const auto body = [](Communicator& group) {
    std::vector<float> three(3), four(4);
    if (group.rank() == 0) group.send(view_of(three), 1, 0);
    if (group.rank() == 1) group.receive(view_of(four), 0, 0);
  };
  try {
    run_thread_ranks(2, body);
    FAIL() << "nothing was thrown";
  } catch (const core::Error& error) {
    EXPECT_STREQ(error.what(),
                 "rank 1: a message of 12 bytes came from rank 0 where 16 were expected");
  }
}

}  // namespace
}  // namespace longhaul::test
