// Which exchange `auto` takes: of the model's figures alone, so the same in every run.
#include <gtest/gtest.h>

#include "dist/state_exchange.h"

namespace longhaul::dist {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

ExchangeAlgorithm over_mpi(int ranks, int64_t bytes) {
  return cheapest_exchange({.ranks = ranks, .state_bytes = bytes, .free_messages = true});
}
ExchangeAlgorithm over_nccl(int ranks, int64_t bytes) {
  return cheapest_exchange({.ranks = ranks, .state_bytes = bytes, .free_messages = false});
}

TEST(ExchangeChoice, OneRankNeedsNone) {
  EXPECT_EQ(over_mpi(1, kMiB), ExchangeAlgorithm::kAllGather);
}

TEST(ExchangeChoice, TheLeastVolumeBetweenHosts) {
  for (const int ranks : {4, 8, 64}) {
    EXPECT_EQ(over_mpi(ranks, 2 * kMiB), ExchangeAlgorithm::kChain) << ranks;
    EXPECT_EQ(over_mpi(ranks, 1), ExchangeAlgorithm::kChain) << ranks;
  }
}

TEST(ExchangeChoice, FewestRoundsWhereAChainWouldBeLong) {
  EXPECT_EQ(over_mpi(4096, 2 * kMiB), ExchangeAlgorithm::kLogStep);
  EXPECT_EQ(over_nccl(4096, 2 * kMiB), ExchangeAlgorithm::kLogStep);
}

TEST(ExchangeChoice, OneCollectiveForFewDevices) {
  EXPECT_EQ(over_nccl(2, 2 * kMiB), ExchangeAlgorithm::kAllGather);
  EXPECT_EQ(over_nccl(4, kMiB / 8), ExchangeAlgorithm::kAllGather);
  EXPECT_EQ(over_nccl(8, 2 * kMiB), ExchangeAlgorithm::kLogStep);
}

TEST(ExchangeChoice, RoundsAndMessagesAreCountedExactly) {
  // Four ranks take two rounds; with three the all-gather would be cheaper.
  EXPECT_EQ(over_nccl(4, 2 * kMiB), ExchangeAlgorithm::kLogStep);
  // MPI's all-gather takes two messages for a map, which only large states make up for.
  EXPECT_EQ(over_mpi(2, kMiB), ExchangeAlgorithm::kLogStep);
  EXPECT_EQ(over_mpi(2, 4 * kMiB), ExchangeAlgorithm::kAllGather);
}

TEST(ExchangeChoice, AChainWhereLogDecaysAreAsLargeAsTheState) {
  // 16 sequences of mamba-130m, 8 of mamba-2.8b: the layers of a Mamba-1.
  for (const int64_t bytes : {int64_t{16} * 1536 * 16 * 4, int64_t{8} * 5120 * 16 * 4}) {
    EXPECT_NE(over_mpi(2, bytes), ExchangeAlgorithm::kChain);
    EXPECT_EQ(cheapest_exchange({.ranks = 2, .state_bytes = bytes, .log_decay_bytes = bytes}),
              ExchangeAlgorithm::kChain);
  }
}

}  // namespace
}  // namespace longhaul::dist
