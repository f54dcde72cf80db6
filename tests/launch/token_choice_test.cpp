#include "launch/token_choice.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/core/error.h"

namespace longhaul::launch {
namespace {

const double kInfinity = std::numeric_limits<double>::infinity();

TEST(TokenChoice, ZeroTemperatureTakesTheMostLikelyAndTheLowestOfEquals) {
  EXPECT_EQ(choose_token({1, 3, 2}, {}, 0), 1);
  EXPECT_EQ(choose_token({1, 3, 3}, {}, 7), 1);
  EXPECT_EQ(choose_token({-kInfinity, std::nan(""), -5}, {}, 0), 2);
}

TEST(TokenChoice, NothingFinite) {
  EXPECT_THROW(choose_token({std::nan(""), kInfinity}, {}, 0), core::Error);
  EXPECT_THROW(choose_token({}, {}, 0), core::Error);
}

TEST(TokenChoice, FrequenciesFollowTheSoftmaxAtThatTemperature) {
  const std::vector<double> logits{0.0, 1.0, 2.0, -1.0};
  const double temperature = 0.7;
  std::vector<double> expected;
  double total = 0;
  for (const double logit : logits) total += expected.emplace_back(std::exp(logit / temperature));
  constexpr int kDraws = 40000;
  std::vector<int> counts(logits.size());
  for (int i = 0; i < kDraws; ++i) {
    const auto token = choose_token(logits, {.temperature = temperature, .top_k = 0, .seed = 5}, i);
    ++counts[static_cast<size_t>(token)];
  }
  for (size_t i = 0; i < logits.size(); ++i) {
    EXPECT_NEAR(counts[i] / double{kDraws}, expected[i] / total, 0.01) << i;
  }
}

TEST(TokenChoice, TopKLeavesTheRestOut) {
  const TokenChoice choice{.temperature = 10, .top_k = 2, .seed = 1};
  for (int i = 0; i < 500; ++i) {
    const auto token = choose_token({0.1, 0.4, 0.2, 0.3}, choice, i);
    EXPECT_TRUE(token == 1 || token == 3) << token;
  }
}

TEST(TokenChoice, SeedAndPositionDecide) {
  const std::vector<double> logits(50, 0.0);
  const TokenChoice choice{.temperature = 1, .top_k = 0, .seed = 3};
  int different = 0;
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(choose_token(logits, choice, i), choose_token(logits, choice, i));
    different += choose_token(logits, choice, i) != choose_token(logits, choice, i + 1) ? 1 : 0;
  }
  EXPECT_GT(different, 80);
}

}  // namespace
}  // namespace longhaul::launch
