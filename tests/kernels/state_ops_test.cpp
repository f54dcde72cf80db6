#include "kernels/state/state_ops.h"

#include <gtest/gtest.h>

#include <tuple>

#include "tests/support/compare.h"
#include "tests/support/random_tensor.h"

namespace longhaul::kernels {
namespace {

using core::Context;
using core::DType;
using core::Tensor;
using testing::values_of;

constexpr core::RandomKey kKey = {
    .seed = 9, .step = 4, .purpose = core::RandomPurpose::kInitialState};
const std::vector<double> kMean = {0, 1, -2}, kDeviation = {1, 0.5, 0};

Tensor noise(Context& context, DType dtype, int64_t first, int64_t batch, uint64_t offset) {
  Tensor state(context, dtype, {batch, 3, 4, 5});
  const Tensor mean = Tensor::from(context, kMean, {3}),
               deviation = Tensor::from(context, kDeviation, {3});
  state_noise(context, {.mean = mean,
                        .deviation = deviation,
                        .key = kKey,
                        .first_sequence = first,
                        .offset = offset,
                        .state = state});
  return state;
}

TEST(StateNoise, EqualsTheFormula) {
  constexpr uint64_t kOffset = uint64_t{7} << 40;
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    Context context({}, 2);
    std::vector<double> expected;
    for (uint64_t b = 0; b < 4; ++b) {
      for (uint64_t i = 0; i < 60; ++i) {
        expected.push_back(kMean[i / 20] +
                           kDeviation[i / 20] * core::normal(kKey, (11 + b) * 60 + i + kOffset));
      }
    }
    EXPECT_TRUE(testing::close(noise(context, dtype, 11, 4, kOffset), expected,
                               dtype == DType::kF32 ? 1e-7 : 1e-15));
  }
}

TEST(StateNoise, DependsOnTheGlobalSequenceAlone) {
  Context one({}, 1), three({}, 3);
  const Tensor whole = noise(one, DType::kF32, 0, 6, 0);
  const Tensor tail = noise(three, DType::kF32, 4, 2, 0);
  EXPECT_EQ(values_of(tail), values_of(whole.view().slice(0, 4, 6)));
  EXPECT_NE(values_of(noise(one, DType::kF32, 4, 2, uint64_t{1} << 40)), values_of(tail));
}

TEST(StateMoments, AddToTheStatistics) {
  for (const int64_t batch : {0, 1, 5}) {
    Context one({}, 1), three({}, 3);
    const Tensor state = testing::random_tensor(one, DType::kF32, {batch, 3, 7, 11}, 1, 2, 0.5);
    std::vector<double> sums = {1, 2, 3}, squares = {4, 5, 6};
    const auto values = values_of(state);
    for (int64_t i = 0; i < state.elements(); ++i) {
      sums[i / 77 % 3] += values[i];
      squares[i / 77 % 3] += values[i] * values[i];
    }
    const Tensor sum = Tensor::from<double>(one, {1, 2, 3}, {3}),
                 square = Tensor::from<double>(one, {4, 5, 6}, {3});
    state_moments(one, {.states = {state}, .sum = sum, .sum_of_squares = square});
    EXPECT_TRUE(testing::close(sum, sums, 1e-13));
    EXPECT_TRUE(testing::close(square, squares, 1e-13));
    const Tensor sum3 = Tensor::from<double>(one, {1, 2, 3}, {3}),
                 square3 = Tensor::from<double>(one, {4, 5, 6}, {3});
    state_moments(three, {.states = {state}, .sum = sum3, .sum_of_squares = square3});
    EXPECT_TRUE(testing::bit_equal(sum3, sum));
    EXPECT_TRUE(testing::bit_equal(square3, square));
  }
}

TEST(StateMoments, OfSeveralStatesFollowEachOther) {
  Context context({}, 2);
  const Tensor first = testing::random_tensor(context, DType::kF32, {2, 3, 5}, 1),
               second = testing::random_tensor(context, DType::kF32, {4, 2, 7}, 2);
  const Tensor sum = Tensor::zeros(context, DType::kF64, {5}),
               squares = Tensor::zeros(context, DType::kF64, {5});
  state_moments(context, {.states = {first, second}, .sum = sum, .sum_of_squares = squares});
  for (const auto& [state, begin, end] : {std::tuple{&first, 0, 3}, {&second, 3, 5}}) {
    const Tensor own_sum = Tensor::zeros(context, DType::kF64, {end - begin}),
                 own_squares = Tensor::zeros(context, DType::kF64, {end - begin});
    state_moments(context, {.states = {*state}, .sum = own_sum, .sum_of_squares = own_squares});
    EXPECT_EQ(values_of(own_sum), values_of(sum.view().slice(0, begin, end)));
    EXPECT_EQ(values_of(own_squares), values_of(squares.view().slice(0, begin, end)));
  }
}

TEST(StateOpsDeathTest, RefuseStatisticsOfAnotherSize) {
  Context context({}, 1);
  const Tensor state = Tensor::zeros(context, DType::kF32, {1, 4, 2}),
               wrong = Tensor::zeros(context, DType::kF64, {3});
  EXPECT_DEATH(state_moments(context, {.states = {state}, .sum = wrong, .sum_of_squares = wrong}),
               "statistics");
}

}  // namespace
}  // namespace longhaul::kernels
