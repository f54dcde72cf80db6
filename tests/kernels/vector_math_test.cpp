#include "kernels/core/vector_math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace longhaul::core {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Distance in units of the last place of the exact value (of the smallest normal number below
/// that).
double ulps(float found, double exact) {
  const float nearest = static_cast<float>(exact);
  const float size = std::max(std::abs(nearest), std::numeric_limits<float>::min());
  const double unit =
      static_cast<double>(std::nextafter(size, kInfinity)) - static_cast<double>(size);
  return std::abs(static_cast<double>(found) - exact) / unit;
}

/// The loops below are those that the compiler vectorises, so the test sees what the ops use.
template <class Function>
std::vector<float> map(const std::vector<float>& x, const Function& function) {
  std::vector<float> y(x.size());
#pragma omp simd
  for (size_t i = 0; i < x.size(); ++i) y[i] = function(x[i]);
  return y;
}

std::vector<float> grid(float low, float high, int count) {
  std::vector<float> x;
  for (int i = 0; i <= count; ++i)
    x.push_back(low + (high - low) * static_cast<float>(i) / static_cast<float>(count));
  return x;
}

TEST(VectorMath, ExpWithinTwoUlps) {
  for (const auto& x :
       {grid(-103, 88.7f, 300'001), grid(-1, 1, 100'001), grid(-1e-3f, 1e-3f, 1001)}) {
    const auto y = map(x, [](float v) { return vector_exp(v); });
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_LT(ulps(y[i], std::exp(static_cast<double>(x[i]))), 1.5)
          << "exp(" << x[i] << ") = " << y[i];
    }
  }
}

TEST(VectorMath, ExpAtTheEdges) {
  const auto y = map(
      {-kInfinity, kInfinity, 0.0f, -1e30f, 1e30f, 88.72f, 88.73f, std::nanf(""), -103.0f, -104.5f},
      [](float v) { return vector_exp(v); });
  EXPECT_EQ(y[0], 0);
  EXPECT_EQ(y[1], kInfinity);
  EXPECT_EQ(y[2], 1);
  EXPECT_EQ(y[3], 0);
  EXPECT_EQ(y[4], kInfinity);
  EXPECT_TRUE(std::isfinite(y[5]));
  EXPECT_EQ(y[6], kInfinity);
  EXPECT_TRUE(std::isnan(y[7]));
  EXPECT_GT(y[8], 0) << "denormal";
  EXPECT_EQ(y[9], 0);
}

TEST(VectorMath, Log1pWithinThreeUlps) {
  std::vector<float> x;
  for (int i = -140; i < 100; ++i) {
    for (const double m : {1.0, 1.1, 1.37, 1.4142135, 1.41422, 1.7, 1.999}) {
      x.push_back(static_cast<float>(std::ldexp(m, i)));
    }
  }
  x.push_back(0);
  const auto y = map(x, [](float v) { return vector_log1p(v); });
  for (size_t i = 0; i < x.size(); ++i) {
    ASSERT_LT(ulps(y[i], std::log1p(static_cast<double>(x[i]))), 3)
        << "log1p(" << x[i] << ") = " << y[i];
  }
}

TEST(VectorMath, SigmoidSiluSoftplus) {
  const auto x = grid(-80, 80, 40'001);
  const auto s = map(x, [](float v) { return sigmoid(v); });
  const auto u = map(x, [](float v) { return silu(v); });
  const auto p = map(x, [](float v) { return softplus(v); });
  for (size_t i = 0; i < x.size(); ++i) {
    const double exact = static_cast<double>(x[i]), sigma = 1 / (1 + std::exp(-exact));
    ASSERT_LT(ulps(s[i], sigma), 3) << "sigmoid(" << x[i] << ")";
    ASSERT_LT(ulps(u[i], exact * sigma), 4) << "silu(" << x[i] << ")";
    const double soft = exact > 20 ? exact : std::log1p(std::exp(exact));
    ASSERT_LT(ulps(p[i], soft), 4) << "softplus(" << x[i] << ")";
  }
}

TEST(VectorMath, SaturatesWithoutNan) {
  EXPECT_EQ(sigmoid(-kInfinity), 0);
  EXPECT_EQ(sigmoid(kInfinity), 1);
  EXPECT_EQ(sigmoid(-200.0f), 0);
  EXPECT_EQ(softplus(-kInfinity), 0);
  EXPECT_EQ(softplus(kInfinity), kInfinity);
  EXPECT_EQ(softplus(1000.0f), 1000);
  EXPECT_EQ(silu(1000.0f), 1000);
  EXPECT_EQ(silu(-1000.0f), 0);
  EXPECT_EQ(silu_derivative(-100.0f, sigmoid(-100.0f)), 0);
  EXPECT_TRUE(std::isnan(softplus(std::nanf(""))));
}

TEST(VectorMath, SiluDerivativeIsOne) {
  for (const double x : {-30.0, -1.0, 0.0, 0.5, 20.0}) {
    const double h = 1e-5, numeric = (silu(x + h) - silu(x - h)) / (2 * h);
    EXPECT_NEAR(silu_derivative(x, sigmoid(x)), numeric, 1e-9);
  }
}

}  // namespace
}  // namespace longhaul::core
