// Norms, convolution, SwiGLU and time step on the device.
#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "tests/kernels/conv_case.h"
#include "tests/kernels/device/device_test.h"
#include "tests/kernels/norm_case.h"
#include "tests/kernels/small_op_case.h"

namespace longhaul::testing {
namespace {

using RowOps = DeviceTest;

TEST_F(RowOps, RmsNorm) {
  for (const int64_t rows : {0, 1, 35}) {
    for (const int64_t width : {1, 19, 64, 1032}) {
      SCOPED_TRACE(::testing::Message() << rows << " rows of " << width);
      expect_op(Norm{.rows = rows, .width = width, .with_x = rows != 1},
                {{"y", random_values(rows * width, 7)}, {"sum", random_values(rows * width, 8)}});
    }
  }
}

/// Nothing of a wide residual stream is rounded on the way.
TEST_F(RowOps, RmsNormOfAWideResidual) {
  for (const int64_t width : {1, 19, 64, 68, 1032, 16448}) {
    SCOPED_TRACE(width);
    constexpr int64_t kRows = 5;
    Norm here{.rows = kRows, .width = width, .wide = true}, there = here;
    there.dtype = kHalf.dtype;
    there.device = kCuda;
    Values in = rounded(here.inputs(), kHalf.dtype);
    in["residual"] = rounded(here.inputs().at("residual"), kSingle.dtype);
    const Values up{{"y", rounded(random_values(kRows * width, 7), kHalf.dtype)},
                    {"sum", rounded(random_values(kRows * width, 8), kHalf.dtype)}};
    const Values forward = there.forward(in), backward = there.backward(in, up);
    EXPECT_TRUE(close(forward.at("sum"), here.forward(in).at("sum"), kSingle.tolerance));
    EXPECT_TRUE(close(forward.at("y"), here.forward(in).at("y"), kHalf.tolerance));
    const Values expected = here.backward(in, up);
    EXPECT_TRUE(close(backward.at("residual"), expected.at("residual"), kHalf.tolerance));
    EXPECT_TRUE(close(backward.at("weight"), expected.at("weight"), kSingle.tolerance));
    EXPECT_EQ(there.backward(in, up), backward);
  }
}

TEST_F(RowOps, GatedRmsNorm) {
  for (const int64_t rows : {0, 1, 37}) {
    for (const auto& [width, groups] : {std::pair{21, 3}, {64, 1}, {96, 2}, {520, 1}}) {
      SCOPED_TRACE(::testing::Message() << rows << " rows of " << width);
      expect_op(GatedNorm{.rows = rows, .width = width, .groups = groups},
                {{"out", random_values(rows * width, 7)}});
    }
  }
}

/// Rows of more columns than a block keeps in registers.
TEST_F(RowOps, NormsOfLongRows) {
  for (const int64_t width : {2051, 16448}) {
    SCOPED_TRACE(width);
    expect_op(Norm{.rows = 3, .width = width, .with_x = true},
              {{"y", random_values(3 * width, 7)}, {"sum", random_values(3 * width, 8)}});
    expect_op(GatedNorm{.rows = 3, .width = width, .groups = 1},
              {{"out", random_values(3 * width, 7)}});
  }
}

void expect_conv(const Conv& conv) {
  SCOPED_TRACE(::testing::Message() << conv.length << " of " << conv.channels << ", " << conv.taps);
  expect_op(conv, {{"y", random_values(conv.batch * conv.length * conv.channels, 7)},
                   {"final", random_values(conv.batch * (conv.taps - 1) * conv.channels, 8)}});
}

TEST_F(RowOps, Conv) {
  for (const auto& [length, channels, taps] : {std::tuple{11, 3, 1},
                                               {11, 3, 2},
                                               {11, 8, 3},
                                               {11, 3, 8},
                                               {21, 8, 8},
                                               {0, 5, 4},
                                               {1, 5, 4},
                                               {2, 4, 4},
                                               {3, 5, 4},
                                               {64, 5, 4},
                                               {65, 8, 4},
                                               {131, 12, 4},
                                               {9, 516, 4}}) {
    for (const bool with_state : {true, false}) {
      expect_conv({.batch = 2,
                   .length = length,
                   .channels = channels,
                   .taps = taps,
                   .with_state = with_state,
                   .with_bias = with_state || taps != 4});
    }
  }
}

/// Rows that begin at multiples of 16 bytes are moved by words.
TEST_F(RowOps, ConvOfAlignedRows) {
  for (const auto& [length, channels, taps] :
       {std::tuple{0, 8, 4}, {2, 8, 4}, {33, 16, 4}, {70, 8, 3}, {67, 24, 8}, {300, 136, 4}}) {
    for (const bool with_state : {true, false}) {
      expect_conv({.batch = 2,
                   .length = length,
                   .channels = channels,
                   .taps = taps,
                   .with_state = with_state,
                   .margin = 8});
    }
  }
}

/// More than a grid takes along y and z.
TEST_F(RowOps, ConvOfManySequences) {
  core::Context context(kCuda);
  const core::Shape shape{65'537, 1, 1};
  const core::Tensor x = random_tensor(context, core::DType::kF32, shape, 1),
                     weight = core::Tensor::from<float>(context, {1}, {1, 1}),
                     y(context, core::DType::kF32, shape);
  kernels::causal_conv1d_forward(context, {.x = x, .weight = weight, .y = y});
  std::vector<double> expected = values_of(x);
  for (double& v : expected) v /= 1 + std::exp(-v);
  EXPECT_TRUE(close(y, expected, kSingle.tolerance));
}

TEST_F(RowOps, GridsThatNoDeviceTakesAreRefused) {
  core::Context context(kCuda);
  constexpr int64_t kGroups = 65'536;
  const core::Tensor y = core::Tensor::zeros(context, core::DType::kF32, {1, kGroups}),
                     weight = core::Tensor::zeros(context, core::DType::kF32, {kGroups}),
                     rstd(context, core::DType::kF32, {1, kGroups});
  try {
    kernels::gated_rms_norm_forward(context,
                                    {.y = y, .z = y, .weight = weight, .out = y, .rstd = rstd});
    FAIL() << "launched";
  } catch (const core::Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("1 x 65536 x 1 blocks"));
  }
}

TEST_F(RowOps, Swiglu) {
  for (const auto& [rows, width] : {std::pair{0, 8}, {1, 9}, {5, 64}, {3, 137}}) {
    expect_op(Swiglu{.rows = rows, .width = width}, {{"y", random_values(rows * width, 7)}});
  }
}

TEST_F(RowOps, TimeStep) {
  for (const int64_t rows : {0, 1, 40}) {
    for (const double high : {1e9, 1.5}) {
      expect_op(TimeStep{.rows = rows, .heads = 5, .low = 0.2, .high = high},
                {{"dt", random_values(rows * 5, 7)}});
    }
  }
}

}  // namespace
}  // namespace longhaul::testing
