#include "kernels/optimizer/adamw.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "tests/support/compare.h"
#include "tests/support/random_tensor.h"

namespace longhaul::kernels {
namespace {

using core::Context;
using core::DType;
using core::Tensor;
using testing::random_values;
using testing::tensor_of;
using testing::values_of;

/// The formula of the header, one weight at a time.
struct Scalar {
  double weight, m = 0, v = 0;
  void step(double gradient, const AdamwStep& a) {
    const double g = a.gradient_scale * gradient;
    m = a.beta1 * m + (1 - a.beta1) * g;
    v = a.beta2 * v + (1 - a.beta2) * g * g;
    const double t = static_cast<double>(a.step);
    const double m_hat = m / (1 - std::pow(a.beta1, t)), v_hat = v / (1 - std::pow(a.beta2, t));
    weight -= a.rate * (m_hat / (std::sqrt(v_hat) + a.epsilon) + a.decay * weight);
  }
};

TEST(Adamw, FollowsTheFormulaOverSeveralSteps) {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    for (const int64_t count : {0, 1, 37, 20'001}) {
      Context context({}, 2);
      std::vector<Scalar> expected;
      for (const double w : random_values(count, 1)) expected.push_back({w});
      const Tensor weight = testing::random_tensor(context, dtype, {count}, 1);
      const Tensor m = Tensor::zeros(context, dtype, {count}),
                   v = Tensor::zeros(context, dtype, {count});
      for (int64_t t = 1; t <= 5; ++t) {
        const auto gradients = random_values(count, 10 + static_cast<uint64_t>(t), 0.1);
        const Tensor gradient = tensor_of(context, dtype, {count}, gradients);
        const AdamwStep args = {.weight = weight,
                                .gradient = gradient,
                                .first_moment = m,
                                .second_moment = v,
                                .rate = 0.01 * static_cast<double>(t),
                                .beta1 = 0.8,
                                .beta2 = 0.9,
                                .epsilon = 1e-3,
                                .decay = 0.3,
                                .gradient_scale = 0.5,
                                .step = t};
        adamw_step(context, args);
        for (size_t i = 0; i < expected.size(); ++i) expected[i].step(gradients[i], args);
      }
      std::vector<double> weights, firsts, seconds;
      for (const Scalar& s : expected) {
        weights.push_back(s.weight);
        firsts.push_back(s.m);
        seconds.push_back(s.v);
      }
      const double tolerance = dtype == DType::kF32 ? 1e-6 : 1e-14;
      EXPECT_TRUE(testing::close(weight, weights, tolerance));
      EXPECT_TRUE(testing::close(m, firsts, tolerance));
      EXPECT_TRUE(testing::close(v, seconds, tolerance));
    }
  }
}

TEST(Adamw, ZeroGradientOnlyDecays) {
  Context context({}, 1);
  const Tensor weight = Tensor::from<float>(context, {2}, {1}),
               gradient = Tensor::zeros(context, DType::kF32, {1});
  const Tensor m = Tensor::zeros(context, DType::kF32, {1}),
               v = Tensor::zeros(context, DType::kF32, {1});
  adamw_step(context, {.weight = weight,
                       .gradient = gradient,
                       .first_moment = m,
                       .second_moment = v,
                       .rate = 0.5,
                       .decay = 0.5});
  EXPECT_EQ(values_of(weight)[0], 1.5);
}

TEST(SumOfSquares, IsExactInDoubleAndIndependentOfThreads) {
  for (const int64_t count : {0, 1, 7, 32'768, 100'003}) {
    Context one({}, 1), three({}, 3);
    const Tensor x = testing::random_tensor(one, DType::kF32, {count}, 5);
    double expected = 0;
    for (const double v : values_of(x)) expected += v * v;
    EXPECT_NEAR(sum_of_squares(one, x), expected, 1e-12 * expected);
    EXPECT_EQ(sum_of_squares(one, x), sum_of_squares(three, x));
  }
}

TEST(SumOfSquares, ShowsWhatIsNotFinite) {
  Context context({}, 2);
  for (const float bad : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
    std::vector<float> values(50'000, 1);
    values[49'999] = bad;
    EXPECT_FALSE(
        std::isfinite(sum_of_squares(context, Tensor::from<float>(context, values, {50'000}))));
  }
  const Tensor large = Tensor::from<float>(context, {3e38f, 3e38f}, {2});
  EXPECT_NEAR(sum_of_squares(context, large) / 1.8e77, 1, 1e-6)
      << "squares overflow float, not double";
}

TEST(BlockSumsOfSquares, OfPartsCutAtBlocksAreThoseOfTheWhole) {
  Context one({}, 1), three({}, 3);
  for (const int64_t block : {16L, 64L, 32768L}) {
    const int64_t elements = 5 * block + 7;
    const Tensor x = testing::random_tensor(one, DType::kF32, {elements}, 5);
    std::vector<double> whole(6), parts(6), threaded(6);
    const auto sums = [](std::vector<double>& s, int64_t from, int64_t to) {
      return core::TensorView(s.data(), core::DType::kF64, {6}).slice(0, from, to);
    };
    const BlockSums of_whole{.x = x, .block = block, .sums = sums(whole, 0, 6)},
        with_threads{.x = x, .block = block, .sums = sums(threaded, 0, 6)};
    block_sums_of_squares(one, {&of_whole, 1});
    block_sums_of_squares(three, {&with_threads, 1});
    std::vector<BlockSums> of_parts;
    for (const auto& [from, to] : {std::pair<int64_t, int64_t>{0, 2}, {2, 3}, {3, 6}}) {
      of_parts.push_back({.x = x.view().slice(0, from * block, std::min(elements, to * block)),
                          .block = block,
                          .sums = sums(parts, from, to)});
    }
    block_sums_of_squares(one, of_parts);
    EXPECT_EQ(parts, whole) << block;
    EXPECT_EQ(threaded, whole) << block;
    for (int64_t b = 0; b < 6; ++b) {
      double expected = 0;
      for (int64_t i = b * block; i < std::min(elements, (b + 1) * block); ++i) {
        expected += double{x.data<float>()[i]} * double{x.data<float>()[i]};
      }
      EXPECT_NEAR(whole[static_cast<size_t>(b)], expected, 1e-12 * expected);
    }
  }
}

}  // namespace
}  // namespace longhaul::kernels
