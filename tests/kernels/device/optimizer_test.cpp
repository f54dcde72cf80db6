// AdamW and sums of squares on the device.
#include "kernels/optimizer/adamw.h"

#include <cmath>

#include "tests/kernels/device/device_test.h"
#include "tests/support/random_tensor.h"

namespace longhaul::testing {
namespace {

using core::Context;
using core::DType;
using core::Tensor;
using core::TensorView;

using OptimizerOps = DeviceTest;

/// `shift`: elements that the rounded weights lie behind the beginning of their memory.
Values run_adamw(core::Device device, const Values& in, bool rounds, int64_t shift = 0) {
  Context context(device);
  const auto count = static_cast<int64_t>(in.at("weight").size());
  const Tensor weight = tensor_of(context, DType::kF32, {count}, in.at("weight")),
               gradient = tensor_of(context, DType::kF32, {count}, in.at("gradient")),
               first = Tensor::zeros(context, DType::kF32, {count}),
               second = Tensor::zeros(context, DType::kF32, {count});
  const Tensor memory = rounds ? Tensor(context, DType::kBF16, {shift + count}) : Tensor();
  const TensorView half = rounds ? memory.view().slice(0, shift, shift + count) : TensorView{};
  for (int64_t t = 1; t <= 3; ++t) {
    kernels::adamw_step(context, {.weight = weight,
                                  .gradient = gradient,
                                  .first_moment = first,
                                  .second_moment = second,
                                  .rounded = half,
                                  .rate = 0.01,
                                  .decay = 0.1,
                                  .gradient_scale = 0.5,
                                  .step = t});
  }
  if (rounds) {
    EXPECT_EQ(values_of(half), rounded(values_of(weight), DType::kBF16));
  }
  return {{"weight", values_of(weight)}, {"m", values_of(first)}, {"v", values_of(second)}};
}

TEST_F(OptimizerOps, Adamw) {
  for (const int64_t count : {0, 1, 37, 4096}) {
    const Values in = rounded(
        {{"weight", random_values(count, 1)}, {"gradient", random_values(count, 2)}}, DType::kF32);
    for (const int64_t shift : {0, 1, 4}) {
      expect_close(run_adamw(kCuda, in, true, shift), run_adamw({}, in, false), 1e-6);
    }
  }
}

TEST_F(OptimizerOps, SumOfSquares) {
  Context context(kCuda);
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const int64_t count : {0, 1, 7, 40'000}) {
      const Tensor x = random_tensor(context, dtype, {count}, 5);
      double expected = 0;
      for (const double v : values_of(x)) expected += v * v;
      EXPECT_NEAR(kernels::sum_of_squares(context, x), expected, 1e-12 * expected);
    }
  }
  const Tensor bad = Tensor::from<float>(context, {1, std::nanf("")}, {2});
  EXPECT_FALSE(std::isfinite(kernels::sum_of_squares(context, bad)));

  const Tensor x = random_tensor(context, DType::kF32, {3, 30'000}, 6);
  const Tensor y = random_tensor(context, DType::kBF16, {40'000}, 7);
  const Tensor none(context, DType::kF32, {0});
  const std::vector<core::TensorView> views{x, bad, none, y};
  const std::vector<double> sums = kernels::sums_of_squares(context, views);
  ASSERT_EQ(sums.size(), 4u);
  EXPECT_EQ(sums[0], kernels::sum_of_squares(context, x));
  EXPECT_FALSE(std::isfinite(sums[1]));
  EXPECT_EQ(sums[2], 0);
  EXPECT_EQ(sums[3], kernels::sum_of_squares(context, y));
  EXPECT_TRUE(kernels::sums_of_squares(context, {}).empty());
}

TEST_F(OptimizerOps, SumsOfSquaresOfMoreTensorsThanALaunchTakes) {
  Context context(kCuda);
  std::vector<Tensor> tensors;
  for (int64_t i = 0; i < 210; ++i) {
    const DType dtype = i % 3 == 0 ? DType::kBF16 : DType::kF32;
    const int64_t count = i == 50 || i == 96 ? 70'000 : i % 5 * 3;
    tensors.push_back(random_tensor(context, dtype, {count}, static_cast<uint64_t>(i) + 1));
  }
  const std::vector<TensorView> views(tensors.begin(), tensors.end());
  const std::vector<double> sums = kernels::sums_of_squares(context, views);
  ASSERT_EQ(sums.size(), views.size());
  for (size_t i = 0; i < views.size(); ++i) {
    double expected = 0;
    for (const double v : values_of(views[i])) expected += v * v;
    EXPECT_NEAR(sums[i], expected, 1e-12 * expected) << i;
    EXPECT_EQ(sums[i], kernels::sum_of_squares(context, views[i])) << i;
  }
}

TEST_F(OptimizerOps, BlockSumsOfPartsAreThoseOfTheWhole) {
  Context context(kCuda);
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    constexpr int64_t kBlock = 32, kParts = 110, kElements = 2 * kParts * kBlock - 7;
    const Tensor x = random_tensor(context, dtype, {kElements}, 5);
    const auto values = values_of(x);
    std::vector<double> whole(2 * kParts), apart(2 * kParts);
    const auto sums = [](std::vector<double>& of) {
      return TensorView(of.data(), DType::kF64, {2 * kParts});
    };
    const kernels::BlockSums all{.x = x, .block = kBlock, .sums = sums(whole)};
    kernels::block_sums_of_squares(context, {&all, 1});
    std::vector<kernels::BlockSums> parts;
    for (int64_t i = 0; i < kParts; ++i) {  // of two blocks each
      const int64_t begin = 2 * i * kBlock, end = std::min(kElements, begin + 2 * kBlock);
      parts.push_back({.x = x.view().slice(0, begin, end),
                       .block = kBlock,
                       .sums = sums(apart).slice(0, 2 * i, 2 * i + 2)});
    }
    kernels::block_sums_of_squares(context, parts);
    EXPECT_EQ(apart, whole);
    for (int64_t b = 0; b < 2 * kParts; ++b) {
      double expected = 0;
      for (int64_t i = b * kBlock; i < std::min(kElements, (b + 1) * kBlock); ++i) {
        expected += values[static_cast<size_t>(i)] * values[static_cast<size_t>(i)];
      }
      EXPECT_NEAR(whole[static_cast<size_t>(b)], expected, 1e-12 * expected) << b;
    }
  }
}

}  // namespace
}  // namespace longhaul::testing
