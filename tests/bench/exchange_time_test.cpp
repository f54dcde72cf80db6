// The times of exchanges against dist's own algorithms, run in virtual time.
#include "bench/scaling/exchange_time.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/bench/virtual_time.h"

namespace longhaul::bench {
namespace {

using dist::Direction;
using dist::ExchangeAlgorithm;

struct Case {
  ExchangeAlgorithm algorithm;
  int ranks;
  int64_t elements;
  Direction direction = Direction::kForward;
  double message_s = 0;
};
std::string name_of(const ::testing::TestParamInfo<Case>& info) {
  const Case& c = info.param;
  return std::string(enum_names(c.algorithm)[static_cast<size_t>(c.algorithm)]) + "_" +
         std::to_string(c.ranks) + "_ranks_" + std::to_string(c.elements) +
         (c.direction == Direction::kForward ? "" : "_backward") +
         (c.message_s > 0 ? "_overhead" : "");
}

/// Two ranks a node; one link a rank.
Network network_of(const Case& c) {
  return {.ranks_per_node = 2,
          .inside = {.latency_s = 3e-6, .bytes_per_second = 2e9, .share = 0.5},
          .between = {.latency_s = 5e-5, .bytes_per_second = 1e8},
          .links_per_node = 2,
          .message_s = c.message_s};
}

/// Uneven, so that who waits for whom shows.
double begins_at(int rank) { return 1e-3 * ((rank * 7) % 5); }
double computes_for(int rank) { return 4e-4 * (1 + (rank * 3) % 4); }

class ExchangeTime : public ::testing::TestWithParam<Case> {
 protected:
  static constexpr int64_t kGroups = 4;

  struct Seen {
    std::vector<double> now, bytes;
  };
  static Seen run(const Case& c, const Network& network) {
    Seen seen{.now = std::vector<double>(static_cast<size_t>(c.ranks)),
              .bytes = std::vector<double>(static_cast<size_t>(c.ranks))};
    test::run_in_virtual_time(
        c.ranks, network, [&](dist::Communicator& world, test::VirtualRank& self) {
          core::Context context(core::Device{}, 1);
          const auto decay = core::Tensor::zeros(context, core::DType::kF32, {1, kGroups});
          const auto state =
              core::Tensor::zeros(context, core::DType::kF32, {1, kGroups, c.elements / kGroups});
          const core::Tensor incoming(context, core::DType::kF32, state.shape());
          dist::StateExchange exchange(context, world, c.algorithm);
          self.now = begins_at(world.rank());
          const auto going = exchange.start({.direction = c.direction,
                                             .log_decay = decay,
                                             .state = state,
                                             .boundary = {},
                                             .incoming = incoming});
          self.now = std::max(self.now, begins_at(world.rank()) + computes_for(world.rank()));
          going->finish();
          seen.now[static_cast<size_t>(world.rank())] = self.now;
          seen.bytes[static_cast<size_t>(world.rank())] = self.bytes;
        });
    return seen;
  }
};

TEST_P(ExchangeTime, IsThatOfTheAlgorithmItself) {
  const Case& c = GetParam();
  const Network network = network_of(c);
  const Seen seen = run(c, network);
  const ExchangeCase exchange{
      .network = network,
      .group = {.ranks = c.ranks},
      .direction = c.direction,
      .algorithm = c.algorithm,
      .size = {.state_bytes = 4.0 * static_cast<double>(c.elements), .log_decay_bytes = 16}};
  ExchangeStart start;
  for (int position = 0; position < c.ranks; ++position) {
    const int rank = c.direction == Direction::kForward ? position : c.ranks - 1 - position;
    start.begin.push_back(begins_at(rank));
    start.wait.push_back(begins_at(rank) + computes_for(rank));
  }
  std::vector<double> times = exchange_times(exchange, start);
  if (c.direction == Direction::kBackward) std::reverse(times.begin(), times.end());
  for (int rank = 0; rank < c.ranks; ++rank) {
    EXPECT_NEAR(times[static_cast<size_t>(rank)], seen.now[static_cast<size_t>(rank)], 1e-9)
        << "rank " << rank;
  }
  EXPECT_EQ(exchange_bytes(exchange), *std::max_element(seen.bytes.begin(), seen.bytes.end()));
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const int ranks : {2, 3, 5, 8}) {
    for (const int64_t elements : {1000, 196'608}) {  // one block; six
      for (const Direction direction : {Direction::kForward, Direction::kBackward}) {
        all.push_back({ExchangeAlgorithm::kChain, ranks, elements, direction});
        all.push_back({ExchangeAlgorithm::kLogStep, ranks, elements, direction});
        all.push_back({ExchangeAlgorithm::kAllGather, ranks, elements, direction});
      }
    }
    for (const auto algorithm : {ExchangeAlgorithm::kChain, ExchangeAlgorithm::kAllGather}) {
      all.push_back({algorithm, ranks, 196'608, Direction::kForward, 2e-5});
    }
  }
  return all;
}
INSTANTIATE_TEST_SUITE_P(All, ExchangeTime, ::testing::ValuesIn(cases()), name_of);

TEST(ExchangeTimeByHand, WithoutOverlapNothingMovesBeforeTheWait) {
  const Network network{.between = {.latency_s = 1, .bytes_per_second = 100}, .overlaps = false};
  const ExchangeCase exchange{.network = network,
                              .group = {.ranks = 2},
                              .algorithm = ExchangeAlgorithm::kChain,
                              .size = {.state_bytes = 200}};
  EXPECT_EQ(exchange_times(exchange, {.begin = {0, 0}, .wait = {10, 5}}),
            (std::vector<double>{12, 13}));
}

TEST(ExchangeTimeByHand, ApplyingMapsTakesTime) {
  Network network{.between = {.latency_s = 1, .bytes_per_second = 100}};
  ExchangeCase exchange{.network = network,
                        .group = {.ranks = 4},
                        .algorithm = ExchangeAlgorithm::kAllGather,
                        .size = {.state_bytes = 100, .log_decay_bytes = 0, .apply_s = 0.5}};
  const ExchangeStart start{.begin = {0, 0, 0, 0}, .wait = {0, 0, 0, 0}};
  // Rank 0's pieces leave until 1, 2 and 3 and arrive a second later; rank 3 applies three maps.
  EXPECT_EQ(exchange_times(exchange, start), (std::vector<double>{3, 2.5, 4, 5.5}));
  exchange.algorithm = ExchangeAlgorithm::kChain;  // applied, sent, arrived: 2.5 a hop
  EXPECT_EQ(exchange_times(exchange, start), (std::vector<double>{1.5, 4, 6.5, 7.5}));
  // One collective: three pieces of a second and a latency, for all.
  network.collectives = Collectives::kRing;
  network.between.latency_s = 0;
  exchange.algorithm = ExchangeAlgorithm::kAllGather;
  EXPECT_EQ(exchange_times(exchange, start), (std::vector<double>{3, 3.5, 4, 4.5}));
}

// Messages of two packets of a second each. Rank 0's to 1 and 2 leave it in turns: the last packet
// to 1 is out at 3, that to 2 at 4; rank 1's to 2 is out at 2. A latency of a second each.
TEST(ExchangeTimeByHand, MessagesThatShareALinkArriveLater) {
  Network network{.between = {.latency_s = 1, .bytes_per_second = 9000}};
  ExchangeCase exchange{.network = network,
                        .group = {.ranks = 3},
                        .algorithm = ExchangeAlgorithm::kLogStep,
                        .size = {.state_bytes = 18000}};
  const ExchangeStart start{.begin = {0, 0, 0}, .wait = {0, 0, 0}};
  EXPECT_EQ(exchange_times(exchange, start), (std::vector<double>{4, 3, 5}));
  network.shares_links = true;
  EXPECT_EQ(exchange_times(exchange, start), (std::vector<double>{0, 4, 5}));
  exchange.algorithm = ExchangeAlgorithm::kAllGather;
  EXPECT_EQ(exchange_times(exchange, start), (std::vector<double>{0, 4, 5}));
  network.eager_bytes = 1000;  // asked at 0, answered at 1, out from 2 on
  EXPECT_EQ(exchange_times(exchange, start), (std::vector<double>{2, 6, 7}));
}

}  // namespace
}  // namespace longhaul::bench
