// Offsets past 2^31 elements, on a device that has the memory.
#include "kernels/core/context.h"
#include "kernels/elementwise/add.h"
#include "kernels/mlp/swiglu.h"
#include "kernels/optimizer/adamw.h"
#include "kernels/ssd/ssd.h"
#include "tests/kernels/device/device_test.h"
#include "tests/support/random_tensor.h"

namespace longhaul::testing {
namespace {

using core::Context;
using core::DType;
using core::Tensor;
using core::TensorView;

constexpr int64_t kMany = (int64_t{1} << 31) + 4096;

class LargeOps : public DeviceTest {
 protected:
  void need(int64_t gigabytes) {
    const int64_t free = core::cuda_memory(kCuda).free >> 30;
    if (free < gigabytes)
      GTEST_SKIP() << "needs " << gigabytes << " GiB of device memory, has " << free;
  }
};

TEST_F(LargeOps, AddAndSumPast2To31) {
  need(10);
  if (IsSkipped()) return;
  Context context(kCuda);
  const Tensor source = Tensor::zeros(context, DType::kBF16, {kMany}),
               target = Tensor::zeros(context, DType::kBF16, {kMany});
  const auto tail = [](const TensorView& view) { return view.slice(0, kMany - 3, kMany); };
  assign(tail(source), {1, 2, 3});
  assign(tail(target), {10, 20, 30});
  kernels::add(context, source, target);
  EXPECT_EQ(values_of(tail(target)), (std::vector<double>{11, 22, 33}));
  EXPECT_EQ(kernels::sum_of_squares(context, target), 11 * 11 + 22 * 22 + 33 * 33);
}

/// More than 2^31 elements of x: 262,144 tokens, 128 heads of 64 and one more chunk.
TEST_F(LargeOps, RecurrencePast2To31) {
  need(60);
  if (IsSkipped()) return;
  Context context(kCuda);
  const int64_t length = 262'144 + 256, heads = 128, P = 64, N = 16;
  const Tensor x = Tensor::zeros(context, DType::kBF16, {1, length, heads, P}),
               y(context, DType::kBF16, {1, length, heads, P}),
               B = Tensor::zeros(context, DType::kBF16, {1, length, 1, N}),
               C = Tensor::zeros(context, DType::kBF16, {1, length, 1, N}),
               dt = Tensor::zeros(context, DType::kF32, {1, length, heads}),
               A_log = Tensor::zeros(context, DType::kF32, {heads}),
               final_state(context, DType::kF32, {1, heads, P, N});
  const auto last = [&](const TensorView& view) { return view.slice(1, length - 1, length); };
  // One input at the very end: S = dt x Bᵀ, y = S C.
  assign(last(x), std::vector<double>(static_cast<size_t>(heads * P), 2));
  assign(last(B), std::vector<double>(static_cast<size_t>(N), 3));
  assign(last(C), std::vector<double>(static_cast<size_t>(N), 1));
  assign(last(dt), std::vector<double>(static_cast<size_t>(heads), 0.5));
  kernels::ssd_forward(context, {.x = x,
                                 .dt = dt,
                                 .A_log = A_log,
                                 .B = B,
                                 .C = C,
                                 .chunk = 256,
                                 .y = y,
                                 .final_state = final_state});
  for (const double v : values_of(last(y))) ASSERT_EQ(v, 3.0 * N);
  for (const double v : values_of(final_state)) ASSERT_EQ(v, 3);
}

}  // namespace
}  // namespace longhaul::testing
