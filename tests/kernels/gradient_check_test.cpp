// The checker that the gradient tests rely on must itself find mistakes.
#include "tests/support/gradient_check.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/compare.h"

namespace longhaul::testing {
namespace {

/// y_i = a_i² b, z = Σ sin a_i, with a factor on each gradient that 1 leaves right.
GradientCheck sample(double factor_a, double factor_b) {
  return {.inputs = {{"a", {0.3, -1.2, 2.0}}, {"b", {0.7}}},
          .forward =
              [](const Values& in) {
                Values out = {{"y", {}}, {"z", {0}}};
                for (const double a : in.at("a")) {
                  out["y"].push_back(a * a * in.at("b")[0]);
                  out["z"][0] += std::sin(a);
                }
                return out;
              },
          .backward =
              [=](const Values& in, const Values& up) {
                Values gradient = {{"a", {}}, {"b", {0}}};
                for (size_t i = 0; i < 3; ++i) {
                  const double a = in.at("a")[i];
                  gradient["a"].push_back(factor_a * (2 * a * in.at("b")[0] * up.at("y")[i] +
                                                      std::cos(a) * up.at("z")[0]));
                  gradient["b"][0] += factor_b * a * a * up.at("y")[i];
                }
                return gradient;
              }};
}

TEST(GradientCheck, AcceptsTheTruth) { EXPECT_TRUE(check_gradients(sample(1, 1))); }

TEST(GradientCheck, NamesTheWrongInput) {
  const auto wrong_a = check_gradients(sample(1.00001, 1)),
             wrong_b = check_gradients(sample(1, -1));
  EXPECT_FALSE(wrong_a);
  EXPECT_NE(std::string(wrong_a.message()).find("'a'"), std::string::npos);
  EXPECT_FALSE(wrong_b);
  EXPECT_NE(std::string(wrong_b.message()).find("'b'"), std::string::npos);
  EXPECT_FALSE(check_gradients(sample(0, 1)));
  EXPECT_FALSE(check_gradients(sample(std::nan(""), 1)));
}

TEST(GradientCheck, WantsEveryGradientInItsSize) {
  GradientCheck missing = sample(1, 1), short_one = sample(1, 1);
  missing.backward = [](const Values&, const Values&) { return Values{{"b", {0}}}; };
  EXPECT_FALSE(check_gradients(missing));
  short_one.backward = [](const Values&, const Values&) {
    return Values{{"a", {0, 0}}, {"b", {0}}};
  };
  EXPECT_FALSE(check_gradients(short_one));
}

TEST(Compare, FindsTheFurthestElement) {
  const Difference d = difference({1, 2, 3.5}, {1, 2, 4});
  EXPECT_EQ(d.index, 2);
  EXPECT_EQ(d.max_relative, 0.125);
  EXPECT_NEAR(d.normalised_rms, 0.5 / std::sqrt(21), 1e-15);
  EXPECT_FALSE(close({1, std::nan("")}, {1, 2}, 1e9));
  EXPECT_FALSE(close({1, 2}, {1, std::nan("")}, 1e9));
  EXPECT_FALSE(close(std::vector<double>{1}, {1, 2}, 1e9));
  EXPECT_TRUE(close({1, INFINITY}, {1, INFINITY}, 0));
}

}  // namespace
}  // namespace longhaul::testing
