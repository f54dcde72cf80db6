#include <gtest/gtest.h>

#include <cmath>

#include "kernels/norm/gated_rms_norm.h"
#include "kernels/norm/rms_norm.h"
#include "tests/kernels/norm_case.h"
#include "tests/support/compare.h"
#include "tests/support/gradient_check.h"
#include "tests/support/random_tensor.h"

namespace longhaul::kernels {
namespace {

using core::Context;
using core::DType;
using core::Tensor;
using testing::GatedNorm;
using testing::Norm;
using testing::random_values;
using testing::tensor_of;
using testing::Values;
using testing::values_of;

TEST(RmsNorm, EqualsTheFormula) {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    for (const bool with_x : {true, false}) {
      const Norm norm{.rows = 5, .width = 37, .with_x = with_x, .dtype = dtype};
      const Values in = norm.inputs();
      std::vector<double> sums = in.at("residual"), expected;
      for (size_t i = 0; with_x && i < sums.size(); ++i) sums[i] += in.at("x")[i];
      for (int64_t r = 0; r < 5; ++r) {
        double squares = 0;
        for (int64_t i = 0; i < 37; ++i) squares += sums[r * 37 + i] * sums[r * 37 + i];
        for (int64_t i = 0; i < 37; ++i) {
          expected.push_back(sums[r * 37 + i] / std::sqrt(squares / 37 + testing::kNormEpsilon) *
                             in.at("weight")[i]);
        }
      }
      const Values out = norm.forward(in);
      EXPECT_TRUE(testing::close(out.at("y"), expected, dtype == DType::kF32 ? 1e-6 : 1e-14));
      EXPECT_TRUE(testing::close(out.at("sum"), sums, dtype == DType::kF32 ? 1e-6 : 1e-14));
    }
  }
}

TEST(RmsNorm, GradientsMatchDifferences) {
  for (const int64_t rows : {0, 1, 35}) {
    for (const int64_t width : {1, 2, 19}) {
      const Norm norm{.rows = rows, .width = width, .with_x = rows != 1};
      EXPECT_TRUE(testing::check_gradients(
          {.inputs = norm.inputs(),
           .forward = [&](const Values& in) { return norm.forward(in); },
           .backward = [&](const Values& in, const Values& up) { return norm.backward(in, up); }}))
          << rows << " rows of " << width;
    }
  }
}

TEST(RmsNorm, AloneAdds) {
  Context context({}, 1);
  const Tensor residual = Tensor::from<float>(context, {1, 2}, {1, 2}),
               x = Tensor::from<float>(context, {10, 20}, {1, 2});
  rms_norm_forward(context, {.x = x, .residual = residual});
  EXPECT_EQ(values_of(residual), (std::vector<double>{11, 22}));
}

TEST(RmsNorm, SinglePrecisionFollowsDoubleAndThreadsDoNotMatter) {
  Norm norm{.rows = 300, .width = 129, .dtype = DType::kF32, .threads = 1};
  Norm exact = norm, threaded = norm;
  exact.dtype = DType::kF64;
  threaded.threads = 3;
  const Values in = norm.inputs();
  const Values up = {{"y", random_values(300 * 129, 7)}, {"sum", random_values(300 * 129, 8)}};
  const Values found = norm.backward(in, up), expected = exact.backward(in, up);
  for (const auto& [name, values] : expected)
    EXPECT_TRUE(testing::close(found.at(name), values, 2e-5)) << name;
  EXPECT_EQ(found, threaded.backward(in, up));
  EXPECT_EQ(norm.forward(in), threaded.forward(in));
}

TEST(GatedRmsNorm, EqualsTheFormula) {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    for (const int64_t groups : {1, 2, 3}) {
      const GatedNorm norm{.rows = 4, .width = 42, .groups = groups, .dtype = dtype};
      const Values in = norm.inputs();
      const int64_t size = 42 / groups;
      std::vector<double> expected(4 * 42);
      for (int64_t first = 0; first < 4 * 42; first += size) {
        double squares = 0;
        auto n = [&](int64_t i) {
          return in.at("y")[i] * in.at("z")[i] / (1 + std::exp(-in.at("z")[i]));
        };
        for (int64_t i = first; i < first + size; ++i) squares += n(i) * n(i);
        for (int64_t i = first; i < first + size; ++i) {
          expected[i] = n(i) /
                        std::sqrt(squares / static_cast<double>(size) + testing::kNormEpsilon) *
                        in.at("weight")[i % 42];
        }
      }
      EXPECT_TRUE(
          testing::close(norm.forward(in).at("out"), expected, dtype == DType::kF32 ? 2e-6 : 1e-14))
          << groups;
    }
  }
}

TEST(GatedRmsNorm, GradientsMatchDifferences) {
  for (const int64_t rows : {0, 1, 37}) {
    for (const int64_t groups : {1, 3}) {
      const GatedNorm norm{.rows = rows, .width = 21, .groups = groups};
      EXPECT_TRUE(testing::check_gradients(
          {.inputs = norm.inputs(),
           .forward = [&](const Values& in) { return norm.forward(in); },
           .backward = [&](const Values& in, const Values& up) { return norm.backward(in, up); }}))
          << rows << " rows, " << groups << " groups";
    }
  }
}

TEST(GatedRmsNorm, SinglePrecisionFollowsDoubleAndThreadsDoNotMatter) {
  const GatedNorm norm{.rows = 200, .width = 96, .groups = 2, .dtype = DType::kF32, .threads = 1};
  GatedNorm exact = norm, threaded = norm;
  exact.dtype = DType::kF64;
  threaded.threads = 3;
  const Values in = norm.inputs(), up = {{"out", random_values(200 * 96, 7)}};
  const Values found = norm.backward(in, up), expected = exact.backward(in, up);
  for (const auto& [name, values] : expected)
    EXPECT_TRUE(testing::close(found.at(name), values, 2e-5)) << name;
  EXPECT_EQ(found, threaded.backward(in, up));
}

TEST(GatedRmsNorm, ClosedGateGivesZeroNotNan) {
  const GatedNorm norm{.rows = 1, .width = 8, .groups = 1, .dtype = DType::kF32};
  Values in = norm.inputs();
  in["z"].assign(8, -1000);
  EXPECT_EQ(norm.forward(in).at("out"), std::vector<double>(8, 0));
  for (const auto& [name, gradient] : norm.backward(in, {{"out", random_values(8, 1)}})) {
    for (const double g : gradient) EXPECT_EQ(g, 0) << name;
  }
}

}  // namespace
}  // namespace longhaul::kernels
