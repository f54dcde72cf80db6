// What the exchange of states computes, on the device and on the CPU.
#include <limits>

#include "dist/segment_map.h"
#include "kernels/core/cuda_arithmetic.h"
#include "tests/kernels/device/device_test.h"
#include "tests/support/random_tensor.h"

namespace longhaul::testing {
namespace {

using core::Context;
using core::DType;
using core::Tensor;
using core::TensorView;

using ExchangeArithmetic = DeviceTest;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Elements 5 to 41 of six rows of 8; one row forgets an infinite state.
std::vector<double> run_maps(core::Device device, bool with_before) {
  Context context(device);
  auto before = random_values(48, 1);
  before[8] = kInfinity;
  const Tensor log_decay =
                   tensor_of(context, DType::kF32, {6}, {-0.5, -kInfinity, 0, -200, -1e30, -2}),
               state = random_tensor(context, DType::kF32, {6, 8}, 2),
               previous = tensor_of(context, DType::kF32, {6, 8}, before),
               result = Tensor::zeros(context, DType::kF32, {6, 8});
  dist::apply_maps(context,
                   {.log_decay = log_decay,
                    .before = with_before ? previous.view() : TensorView(),
                    .state = state,
                    .result = result},
                   5, 41);
  return values_of(result);
}

TEST_F(ExchangeArithmetic, MapsAreApplied) {
  for (const bool with_before : {true, false}) {
    EXPECT_TRUE(close(run_maps(kCuda, with_before), run_maps({}, with_before), 1e-6));
  }
}

TEST_F(ExchangeArithmetic, DecaysAreAddedAndFilled) {
  Context context(kCuda);
  const Tensor sum = tensor_of(context, DType::kF32, {3}, {-1, -2, -kInfinity}),
               addend = tensor_of(context, DType::kF32, {3}, {-3, -kInfinity, -5});
  dist::add_log_decays(context, addend, sum);
  EXPECT_EQ(values_of(sum), (std::vector<double>{-4, -kInfinity, -kInfinity}));
  dist::fill(context, sum, -kInfinity);
  EXPECT_EQ(values_of(sum), std::vector<double>(3, -kInfinity));
}

/// Halo rows in fp32 from and to bf16 columns of a wider matrix.
TEST_F(ExchangeArithmetic, HalosAreConvertedAndAdded) {
  Context context(kCuda);
  const Tensor wide = random_tensor(context, DType::kBF16, {2, 5, 7}, 1);
  const TensorView rows = wide.view().slice(2, 3, 7).slice(1, 2, 5);
  const Tensor halo(context, DType::kF32, {2, 3, 4});
  core::copy(context, rows, halo);
  auto expected = values_of(rows);
  EXPECT_EQ(values_of(halo), expected);
  const auto all = values_of(wide);
  core::cuda_accumulate(context, halo, rows);
  for (double& v : expected) v *= 2;
  EXPECT_EQ(values_of(rows), expected);
  EXPECT_EQ(values_of(wide.view().slice(2, 0, 3)), [&] {
    std::vector<double> untouched;
    for (size_t i = 0; i < all.size(); ++i) {
      if (i % 7 < 3) untouched.push_back(all[i]);
    }
    return untouched;
  }());
}

}  // namespace
}  // namespace longhaul::testing
