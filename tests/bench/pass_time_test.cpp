#include "bench/scaling/pass_time.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "bench/scaling/gradient_time.h"

namespace longhaul::bench {
namespace {

using dist::ExchangeAlgorithm;

Network plain_network() { return {.between = {.latency_s = 1, .bytes_per_second = 100}}; }

PassCase pass_on(const Network& network, int64_t ranks) {
  return {.network = network,
          .group = {.ranks = ranks},
          .layers = 3,
          .forward = {.to_halo = 1, .to_exchange = 2, .meanwhile = 3, .rest = 4},
          .backward = {.to_halo = 2, .to_exchange = 4, .meanwhile = 6, .rest = 8},
          .head_s = 5};
}

TEST(PassTime, OneRankOnlyComputes) {
  const Network network = plain_network();
  PassCase pass = pass_on(network, 1);
  PassTimes times = time_of_pass(pass);
  EXPECT_DOUBLE_EQ(times.end, 3 * 10 + 5 + 3 * 20);
  EXPECT_DOUBLE_EQ(times.computing, times.end);
  EXPECT_DOUBLE_EQ(times.head_ready, 35);
  EXPECT_EQ(times.layer_ready, (std::vector<double>{95, 75, 55}));
  pass.run_again = 2;
  times = time_of_pass(pass);
  EXPECT_DOUBLE_EQ(times.end, 3 * 10 + 5 + 3 * 20 + 2 * 10);
  EXPECT_EQ(times.layer_ready, (std::vector<double>{115, 85, 55}));
}

TEST(PassTime, ANetworkThatIsFastEnoughIsHidden) {
  const Network network{.between = {.latency_s = 0, .bytes_per_second = 1e30}};
  for (const auto algorithm :
       {ExchangeAlgorithm::kAllGather, ExchangeAlgorithm::kChain, ExchangeAlgorithm::kLogStep}) {
    PassCase pass = pass_on(network, 8);
    pass.algorithm = algorithm;
    pass.exchange.state_bytes = pass.halo_bytes = 1000;
    EXPECT_NEAR(time_of_pass(pass).end, 95, 1e-9);
  }
}

// Two ranks, one layer, chain, messages of 100 bytes (1 s, then 1 s of latency), halos of 0 bytes.
//   rank 0: halo out at 1; map at 3, state out until 4, there at 5; intra until 6, end at 10.
//   rank 1: halo in at 2; map at 4, intra until 7 (the state is there), end at 11. Head until 16.
//   back: rank 1: map at 20, gradient out until 21, there at 22; intra 26, rest to halo 28; halo
//         of 0 bytes at 28, there at 29; end at 36.
//   rank 0: head until 15, map at 19, intra until 25 (the gradient came at 22), 27, halo at 29, 37.
TEST(PassTime, TwoRanksByHand) {
  const Network network = plain_network();
  PassCase pass = pass_on(network, 2);
  pass.layers = 1;
  pass.exchange.state_bytes = 100;
  const PassTimes times = time_of_pass(pass);
  EXPECT_DOUBLE_EQ(times.end, 37);
  EXPECT_DOUBLE_EQ(times.computing, 35);
  EXPECT_DOUBLE_EQ(times.head_ready, 16);

  pass.full_gradient = false;  // nothing comes back: rank 1 ends last
  EXPECT_DOUBLE_EQ(time_of_pass(pass).end, 36);
}

TEST(PassTime, AChainsLengthIsPaidOnceAPassAndAGathersInEveryLayer) {
  const Network network{.between = {.latency_s = 0, .bytes_per_second = 100},
                        .collectives = Collectives::kRing};
  const auto waits = [&](ExchangeAlgorithm algorithm, int64_t ranks, int64_t layers) {
    PassCase pass = pass_on(network, ranks);
    pass.exchange.state_bytes = 400;  // 4 s a hop against 3 and 6 s of intra-chunk work
    pass.algorithm = algorithm;
    pass.layers = layers;
    const PassTimes times = time_of_pass(pass);
    return times.end - times.computing;
  };
  // A rank in the middle waits until it has sent: 4 s a layer and direction.
  const auto chain = ExchangeAlgorithm::kChain;
  EXPECT_NEAR(waits(chain, 16, 40) - waits(chain, 16, 20), 20 * 2 * 4, 1e-6);
  EXPECT_NEAR(waits(chain, 32, 40) - waits(chain, 16, 40),
              waits(chain, 32, 20) - waits(chain, 16, 20), 1e-6);
  EXPECT_NEAR(waits(ExchangeAlgorithm::kAllGather, 16, 40), 40 * (2 * 60 - 3 - 6), 1e-6);
}

TEST(PassTime, HeadParallelRanksMeetFourTimesALayer) {
  const Network network = plain_network();
  PassCase pass = pass_on(network, 4);
  pass.sharing = Sharing::kHeads;
  pass.scatter = {.busy = 2, .latency = 1};
  pass.gather = {.busy = 0.5, .latency = 1};
  EXPECT_DOUBLE_EQ(time_of_pass(pass).end, 95 + 3 * 2 * (3 + 1.5));
  pass.run_again = 3;
  EXPECT_DOUBLE_EQ(time_of_pass(pass).end, 95 + 3 * 10 + 3 * 3 * (3 + 1.5));
}

GradientCase gradients_on(const Network& network) {
  return {.network = network,
          .world = {.ranks = 4},
          .buffer = {.embedding = 100, .layer = 50, .layers = 3, .head = 10},
          .bucket_bytes = 4 * 65,
          .shards = true};
}

/// The same by looking at every element.
double reduction_by_element(const GradientCase& gradients, const PassTimes& pass) {
  std::vector<double> ready;
  for (int64_t i = 0; i < 100; ++i) ready.push_back(pass.end);
  for (const double layer : pass.layer_ready) ready.insert(ready.end(), 50, layer);
  ready.insert(ready.end(), 10, pass.head_ready);
  double free = 0, latency = 0;
  for (auto end = static_cast<int64_t>(ready.size()); end > 0; end -= 65) {
    const int64_t begin = std::max<int64_t>(0, end - 65);
    const double complete = *std::max_element(ready.begin() + begin, ready.begin() + end);
    const CollectiveCost cost = reduce_scatter_cost(gradients.network, gradients.world,
                                                    4.0 * static_cast<double>(end - begin));
    free = std::max(free, complete) + cost.busy;
    latency = cost.latency;
  }
  return free + latency;
}

TEST(GradientTime, BucketsStartWhenTheirLastGradientIsThere) {
  const Network network = plain_network();
  const GradientCase gradients = gradients_on(network);
  for (const double speed : {0.01, 1.0, 100.0}) {  // of computing: hidden, partly, not at all
    PassTimes pass{.end = 95 * speed,
                   .computing = 0,
                   .head_ready = 35 * speed,
                   .layer_ready = {90 * speed, 75 * speed, 55 * speed}};
    EXPECT_NEAR(time_of_reduction(gradients, pass), reduction_by_element(gradients, pass), 1e-9);
  }
}

TEST(GradientTime, WithoutOverlapTheSumsFollowBackward) {
  Network network = plain_network();
  network.overlaps = false;
  const GradientCase gradients = gradients_on(network);
  const PassTimes pass{.end = 95, .computing = 0, .head_ready = 1, .layer_ready = {4, 3, 2}};
  // 260 elements of 4 bytes: three quarters leave a rank at 100 bytes/s; one latency.
  EXPECT_NEAR(time_of_reduction(gradients, pass), 95 + 260 * 4 * 0.75 / 100 + 1, 1e-9);
  EXPECT_NEAR(time_of_update(gradients, 10), 10 + 260 * 4 * 0.75 / 100 + 1, 1e-9);
  EXPECT_NEAR(reduction_bytes(gradients), 260 * 4 * 0.75, 1e-9);
  EXPECT_NEAR(gathering_bytes(gradients), 260 * 4 * 0.75, 1e-9);
}

TEST(GradientTime, GatheringRunsBesideTheUpdate) {
  const Network network{.between = {.latency_s = 0, .bytes_per_second = 1e30}};
  EXPECT_NEAR(time_of_update(gradients_on(network), 10), 10, 1e-9);
  const Network slow{.between = {.latency_s = 0, .bytes_per_second = 1}};
  // The first bucket's quarter of the update, then the link is never free.
  EXPECT_NEAR(time_of_update(gradients_on(slow), 10), 10 / 4.0 + 260 * 4 * 0.75, 1e-9);
}

}  // namespace
}  // namespace longhaul::bench
