// What the sources of h₀ do with states, on the device.
#include "kernels/state/state_ops.h"

#include "kernels/core/context.h"
#include "tests/kernels/device/device_test.h"
#include "tests/support/random_tensor.h"

namespace longhaul::testing {
namespace {

using core::Context;
using core::DType;
using core::Tensor;
using StateOps = DeviceTest;

Tensor noise(Context& context, DType dtype) {
  Tensor state(context, dtype, {4, 3, 4, 5});
  const Tensor mean = Tensor::from<double>(context, {0, 1, -2}, {3}),
               deviation = Tensor::from<double>(context, {1, 0.5, 0}, {3});
  kernels::state_noise(
      context, {.mean = mean,
                .deviation = deviation,
                .key = {.seed = 9, .step = 4, .purpose = core::RandomPurpose::kInitialState},
                .first_sequence = 11,
                .offset = uint64_t{7} << 40,
                .state = state});
  return state;
}

TEST_F(StateOps, NoiseIsTheNumbersOfTheCpu) {
  Context device(kCuda), host;
  EXPECT_TRUE(close(noise(device, DType::kF32), values_of(noise(host, DType::kF32)), 1e-7));
  EXPECT_TRUE(close(noise(device, DType::kBF16), values_of(noise(host, DType::kF32)), 5e-3));
}

/// Of two states at once.
TEST_F(StateOps, Moments) {
  Context device(kCuda), host;
  for (const int64_t batch : {0, 1, 5}) {
    const auto values = random_values(batch * 3 * 7 * 11, 1, 2, 0.5),
               others = random_values(batch * 2 * 6, 2, 3, -1);
    std::vector<std::vector<double>> found;
    for (Context* context : {&device, &host}) {
      const Tensor state = tensor_of(*context, DType::kF32, {batch, 3, 7, 11}, values),
                   other = tensor_of(*context, DType::kF32, {batch, 2, 6}, others);
      const Tensor sum = Tensor::from<double>(host, {1, 2, 3, 7, 8}, {5}),
                   squares = Tensor::from<double>(host, {4, 5, 6, 9, 10}, {5});
      kernels::state_moments(*context,
                             {.states = {state, other}, .sum = sum, .sum_of_squares = squares});
      found.push_back(values_of(sum));
      found.push_back(values_of(squares));
    }
    EXPECT_TRUE(close(found[0], found[2], 1e-12));
    EXPECT_TRUE(close(found[1], found[3], 1e-12));
  }
}

/// Rows that can be moved by packs, and rows that can not.
TEST_F(StateOps, Gather) {
  using kernels::StateGather;
  Context context(kCuda);
  const std::vector<int32_t> from = {2, StateGather::kZero, StateGather::kKeep, 0, 2};
  for (const int64_t inner : {7, 24, 4 * 333}) {
    SCOPED_TRACE(inner);
    const Tensor source = random_tensor(context, DType::kF32, {3, inner}, 1),
                 target = random_tensor(context, DType::kF32, {5, inner}, 2),
                 rows = Tensor::from(context, from, {5});
    const auto before = values_of(target);
    kernels::state_gather(context, {.source = source, .from = rows, .target = target});
    for (int64_t row = 0; row < 5; ++row) {
      const int32_t origin = from[static_cast<size_t>(row)];
      std::vector<double> expected(static_cast<size_t>(inner), 0);
      if (origin >= 0) expected = values_of(source.view().select(0, origin));
      if (origin == StateGather::kKeep) {
        expected.assign(before.begin() + row * inner, before.begin() + (row + 1) * inner);
      }
      EXPECT_EQ(values_of(target.view().select(0, row)), expected) << row;
    }
  }
}

}  // namespace
}  // namespace longhaul::testing
