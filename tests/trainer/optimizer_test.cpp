#include "trainer/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/support/compare.h"
#include "tests/support/random_tensor.h"

namespace longhaul::trainer {
namespace {

using testing::assign;
using testing::random_values;
using testing::values_of;

/// Two decayed parameters, two that are not, one decayed: three ranges, with gaps between all.
std::vector<model::Parameter> five_parameters() {
  std::vector<model::Parameter> parameters;
  parameters.push_back({.name = "a", .shape = {3, 5}, .decay = true});
  parameters.push_back({.name = "b", .shape = {17}, .decay = true});
  parameters.push_back({.name = "c", .shape = {7}, .decay = false});
  parameters.push_back({.name = "d", .shape = {4}, .decay = false});
  parameters.push_back({.name = "e", .shape = {2, 2}, .decay = true});
  return parameters;
}

struct Fixture {
  core::Context context{{}, 1};
  model::ParameterSet parameters;
  Optimizer optimizer;

  explicit Fixture(const OptimizerConfig& config, core::DType dtype = core::DType::kF64)
      : parameters(context, dtype, five_parameters()), optimizer(context, parameters, config) {
    uint64_t seed = 1;
    for (const auto& p : parameters.list()) {
      assign(parameters.value(p), random_values(p.elements(), seed++));
    }
  }

  void set_gradients(uint64_t seed, double scale) {
    for (const auto& p : parameters.list()) {
      assign(parameters.gradient(p), random_values(p.elements(), 100 * seed++, scale));
    }
  }
};

/// AdamW from its definition, one element at a time.
struct ScalarAdamw {
  double weight, first = 0, second = 0;
  int64_t t = 0;
  void step(double gradient, double rate, double decay, const OptimizerConfig& c) {
    t += 1;
    first = c.beta1 * first + (1 - c.beta1) * gradient;
    second = c.beta2 * second + (1 - c.beta2) * gradient * gradient;
    const double m = first / (1 - std::pow(c.beta1, static_cast<double>(t)));
    const double v = second / (1 - std::pow(c.beta2, static_cast<double>(t)));
    weight -= rate * (m / (std::sqrt(v) + c.epsilon) + decay * weight);
  }
};

void check_against_scalars(const OptimizerConfig& config, double gradient_scale, bool clips) {
  Fixture fixture(config);
  std::vector<std::vector<ScalarAdamw>> expected;
  for (const auto& p : fixture.parameters.list()) {
    auto& own = expected.emplace_back();
    for (const double w : values_of(fixture.parameters.value(p))) own.push_back({w});
  }
  for (uint64_t step = 1; step <= 4; ++step) {
    fixture.set_gradients(step, gradient_scale);
    double norm = 0;
    std::vector<std::vector<double>> gradients;
    for (const auto& p : fixture.parameters.list()) {
      gradients.push_back(values_of(fixture.parameters.gradient(p)));
      for (const double g : gradients.back()) norm += g * g;
    }
    norm = std::sqrt(norm);
    const double factor = clips ? config.clip / norm : 1;
    const double rate = 0.1 / static_cast<double>(step);
    const auto outcome = fixture.optimizer.step(rate, true);
    EXPECT_NEAR(outcome.gradient_norm, norm, 1e-12 * norm);
    EXPECT_FALSE(outcome.skipped);
    for (size_t i = 0; i < expected.size(); ++i) {
      const auto& p = fixture.parameters.list()[i];
      std::vector<double> weights;
      for (size_t j = 0; j < expected[i].size(); ++j) {
        expected[i][j].step(factor * gradients[i][j], rate, p.decay ? config.decay : 0, config);
        weights.push_back(expected[i][j].weight);
      }
      EXPECT_TRUE(testing::close(fixture.parameters.value(p), weights, 1e-12)) << p.name;
    }
  }
  EXPECT_EQ(fixture.optimizer.steps_taken(), 4);
}

TEST(Optimizer, FollowsTheFormulaElementByElement) {
  check_against_scalars({.decay = 0.3, .clip = 0}, 5.0, false);
}
TEST(Optimizer, ClipsByTheNormOfAllParametersTogether) {
  check_against_scalars({.decay = 0.3, .clip = 0.7}, 5.0, true);
}
TEST(Optimizer, LeavesSmallGradientsAlone) {
  check_against_scalars({.decay = 0.3, .clip = 1e3}, 5.0, false);
}

TEST(Optimizer, DecaysOnlyWhatIsMarked) {
  Fixture fixture({.decay = 0.5, .clip = 0});
  std::vector<std::vector<double>> before;
  for (const auto& p : fixture.parameters.list()) {
    before.push_back(values_of(fixture.parameters.value(p)));
  }
  fixture.optimizer.step(0.1, true);  // gradients are zero
  for (size_t i = 0; i < before.size(); ++i) {
    const auto& p = fixture.parameters.list()[i];
    std::vector<double> expected = before[i];
    for (double& w : expected) w *= p.decay ? 0.95 : 1;
    EXPECT_TRUE(testing::close(fixture.parameters.value(p), expected, 1e-15)) << p.name;
  }
}

TEST(Optimizer, GapsStayZero) {
  Fixture fixture({.decay = 0.5});
  for (uint64_t step = 1; step <= 3; ++step) {
    fixture.set_gradients(step, 1);
    fixture.optimizer.step(0.1, true);
  }
  std::vector<bool> owned(static_cast<size_t>(fixture.parameters.values().elements()), false);
  for (const auto& p : fixture.parameters.list()) {
    std::fill(owned.begin() + p.begin, owned.begin() + p.end(), true);
  }
  const std::vector<double> values = values_of(fixture.parameters.values());
  for (size_t i = 0; i < owned.size(); ++i) {
    EXPECT_TRUE(owned[i] || values[i] == 0) << i;
  }
}

class SkippedStep : public ::testing::TestWithParam<double> {};
INSTANTIATE_TEST_SUITE_P(Optimizer, SkippedStep,
                         ::testing::Values(std::numeric_limits<double>::quiet_NaN(),
                                           std::numeric_limits<double>::infinity(), 0.0),
                         [](const auto& info) {
                           return std::isnan(info.param)   ? "NanGradient"
                                  : std::isinf(info.param) ? "InfiniteGradient"
                                                           : "LossNotFinite";
                         });

TEST_P(SkippedStep, ChangesNothing) {
  Fixture fixture({});
  fixture.set_gradients(1, 1);
  fixture.optimizer.step(0.1, true);
  const std::vector<double> values = values_of(fixture.parameters.values());
  const std::vector<double> first = values_of(fixture.optimizer.parts().front().first_moment);
  const std::vector<double> second = values_of(fixture.optimizer.parts().front().second_moment);
  fixture.set_gradients(2, 1);
  const bool loss_is_finite = !std::isfinite(GetParam());
  if (loss_is_finite) {
    assign(fixture.parameters.gradient(fixture.parameters.list()[3]), {1, GetParam(), 1, 1});
  }
  EXPECT_TRUE(fixture.optimizer.step(0.1, loss_is_finite).skipped);
  EXPECT_EQ(values_of(fixture.parameters.values()), values);
  EXPECT_EQ(values_of(fixture.optimizer.parts().front().first_moment), first);
  EXPECT_EQ(values_of(fixture.optimizer.parts().front().second_moment), second);
  EXPECT_EQ(fixture.optimizer.steps_taken(), 1);
}

TEST(Optimizer, NormOfHugeSinglePrecisionGradientsIsFinite) {
  Fixture fixture({.clip = 1}, core::DType::kF32);
  fixture.set_gradients(1, 1e30);  // squares overflow a float
  const auto outcome = fixture.optimizer.step(0.1, true);
  EXPECT_FALSE(outcome.skipped);
  EXPECT_GT(outcome.gradient_norm, 1e30);
  for (const double w : values_of(fixture.parameters.values())) EXPECT_TRUE(std::isfinite(w));
}

}  // namespace
}  // namespace longhaul::trainer
