#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/conv1d/causal_conv1d.h"
#include "kernels/core/error.h"
#include "tests/kernels/conv_case.h"
#include "tests/support/compare.h"
#include "tests/support/gradient_check.h"
#include "tests/support/random_tensor.h"

namespace longhaul::kernels {
namespace {

using core::Context;
using core::DType;
using core::Tensor;
using core::TensorView;
using testing::Conv;
using testing::random_values;
using testing::tensor_of;
using testing::Values;
using testing::values_of;

std::vector<Conv> sizes() {
  std::vector<Conv> all;
  for (const int64_t taps : {1, 2, 3, 4, 5, 6, 7, 8})
    all.push_back({.batch = 2, .length = 11, .channels = 3, .taps = taps});
  for (const int64_t length : {0, 1, 2, 3, 4, 5, 31, 32, 33, 71}) {
    all.push_back({.batch = 3, .length = length, .channels = 5, .taps = 4});
  }
  all.push_back({.batch = 1, .length = 9, .channels = 300, .taps = 4});
  all.push_back({.batch = 1, .length = 6, .channels = 515, .taps = 4});
  all.push_back({.batch = 0, .length = 9, .channels = 4, .taps = 4});
  all.push_back({.batch = 2, .length = 9, .channels = 4, .taps = 4, .with_state = false});
  all.push_back(
      {.batch = 2, .length = 2, .channels = 4, .taps = 4, .with_state = false, .with_bias = false});
  all.push_back({.batch = 2, .length = 9, .channels = 4, .taps = 4, .with_bias = false});
  return all;
}

class ConvTest : public ::testing::TestWithParam<Conv> {};

TEST_P(ConvTest, EqualsTheFormula) {
  Conv conv = GetParam();
  const Values in = conv.inputs(), expected = conv.expected(in);
  for (const auto& [name, values] : conv.forward(in)) {
    EXPECT_TRUE(testing::close(values, expected.at(name), 1e-14)) << name;
  }
  conv.dtype = DType::kF32;
  for (const auto& [name, values] : conv.forward(in)) {
    EXPECT_TRUE(testing::close(values, expected.at(name), 2e-6)) << name;
  }
}

TEST_P(ConvTest, GradientsMatchDifferences) {
  const Conv conv = GetParam();
  EXPECT_TRUE(testing::check_gradients(
      {.inputs = conv.inputs(),
       .forward = [&](const Values& in) { return conv.forward(in); },
       .backward = [&](const Values& in, const Values& up) { return conv.backward(in, up); }}));
}

std::string conv_name(const ::testing::TestParamInfo<Conv>& info) {
  const Conv& c = info.param;
  return "batch" + std::to_string(c.batch) + "_length" + std::to_string(c.length) + "_channels" +
         std::to_string(c.channels) + "_taps" + std::to_string(c.taps) +
         (c.with_state ? "" : "_stateless") + (c.with_bias ? "" : "_unbiased");
}
INSTANTIATE_TEST_SUITE_P(Sizes, ConvTest, ::testing::ValuesIn(sizes()), conv_name);

/// Rows [begin, end) of [batch, length, channels].
std::vector<double> rows_of(const std::vector<double>& x, const Conv& whole, int64_t begin,
                            int64_t end) {
  std::vector<double> part;
  for (int64_t b = 0; b < whole.batch; ++b) {
    const auto first = x.begin() + (b * whole.length + begin) * whole.channels;
    part.insert(part.end(), first, first + (end - begin) * whole.channels);
  }
  return part;
}

TEST(ConvSplit, TwoSegmentsEqualTheWholeForwardAndBackward) {
  for (const int64_t cut : {0, 1, 2, 3, 8, 12, 13}) {
    const Conv whole{.batch = 2, .length = 13, .channels = 5, .taps = 4, .dtype = DType::kF32};
    Conv left = whole, right = whole;
    left.length = cut;
    right.length = 13 - cut;
    Values in = whole.inputs(), left_in = in, right_in = in;
    left_in["x"] = rows_of(in["x"], whole, 0, cut);
    right_in["x"] = rows_of(in["x"], whole, cut, 13);
    const Values expected = whole.forward(in), first = left.forward(left_in);
    right_in["state"] = first.at("final");
    const Values second = right.forward(right_in);
    EXPECT_EQ(first.at("y"), rows_of(expected.at("y"), whole, 0, cut)) << cut;
    EXPECT_EQ(second.at("y"), rows_of(expected.at("y"), whole, cut, 13)) << cut;
    EXPECT_EQ(second.at("final"), expected.at("final")) << cut;

    const Values up = {{"y", random_values(2 * 13 * 5, 8)}, {"final", random_values(2 * 3 * 5, 9)}};
    const Values gradients = whole.backward(in, up);
    const Values late = right.backward(
        right_in, {{"y", rows_of(up.at("y"), whole, cut, 13)}, {"final", up.at("final")}});
    const Values early = left.backward(
        left_in, {{"y", rows_of(up.at("y"), whole, 0, cut)}, {"final", late.at("state")}});
    EXPECT_TRUE(testing::close(early.at("x"), rows_of(gradients.at("x"), whole, 0, cut), 1e-6))
        << cut;
    EXPECT_TRUE(testing::close(late.at("x"), rows_of(gradients.at("x"), whole, cut, 13), 1e-6))
        << cut;
    EXPECT_TRUE(testing::close(early.at("state"), gradients.at("state"), 1e-6)) << cut;
    for (const std::string name : {"weight", "bias"}) {
      auto sum = early.at(name);
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += late.at(name)[i];
      EXPECT_TRUE(testing::close(sum, gradients.at(name), 1e-5)) << cut << " " << name;
    }
  }
}

TEST(Conv, SinglePrecisionFollowsDoubleAndThreadsDoNotMatter) {
  const Conv conv{
      .batch = 3, .length = 333, .channels = 70, .taps = 4, .dtype = DType::kF32, .threads = 1};
  Conv exact = conv, threaded = conv;
  exact.dtype = DType::kF64;
  threaded.threads = 3;
  const Values in = conv.inputs();
  const Values up = {{"y", random_values(3 * 333 * 70, 8)},
                     {"final", random_values(3 * 3 * 70, 9)}};
  const Values found = conv.backward(in, up), expected = exact.backward(in, up);
  for (const auto& [name, values] : expected)
    EXPECT_TRUE(testing::close(found.at(name), values, 2e-5)) << name;
  EXPECT_EQ(found, threaded.backward(in, up));
  EXPECT_EQ(conv.forward(in), threaded.forward(in));
}

TEST(Conv, RefusesNineTaps) {
  const Conv conv{.batch = 1, .length = 2, .channels = 2, .taps = 9};
  EXPECT_THROW(conv.forward(conv.inputs()), core::Error);
}

TEST(ConvDeathTest, RefusesTheInitialStateAsFinalState) {
  Context context({}, 1);
  const Tensor x = Tensor::zeros(context, DType::kF32, {1, 2, 2}),
               weight = Tensor::zeros(context, DType::kF32, {2, 4});
  const Tensor y = Tensor::zeros(context, DType::kF32, {1, 2, 2}),
               state = Tensor::zeros(context, DType::kF32, {1, 3, 2});
  EXPECT_DEATH(
      causal_conv1d_forward(
          context,
          {.x = x, .weight = weight, .initial_state = state, .y = y, .final_state = state}),
      "final_state is initial_state");
}

}  // namespace
}  // namespace longhaul::kernels
