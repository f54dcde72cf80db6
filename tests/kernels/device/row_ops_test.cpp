// Norms, convolution, SwiGLU and time step on the device.
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
