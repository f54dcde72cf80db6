#include "bench/support/device_bench.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "bench/support/machine.h"
#include "kernels/elementwise/convert.h"
#include "kernels/linear/linear.h"
#include "kernels/state/state_ops.h"

namespace longhaul::bench {

namespace {

double round_of(core::Context& context, int64_t calls, const std::function<void()>& body) {
  core::synchronize(context);
  const double start = seconds(false);
  for (int64_t i = 0; i < calls; ++i) body();
  core::synchronize(context);
  return seconds(false) - start;
}

}  // namespace

double time_of(core::Context& context, const Repetition& repetition,
               const std::function<void()>& body) {
  constexpr int kRounds = 5;
  body();  // first use: workspaces, choice of algorithms
  const double once = round_of(context, 1, body);
  const double wanted = repetition.seconds / kRounds;
  const auto calls =
      std::clamp<int64_t>(static_cast<int64_t>(wanted / std::max(once, 1e-9)), 1, int64_t{1} << 20);
  double best = once;
  for (int round = 0; round < kRounds; ++round) {
    best = std::min(best, round_of(context, calls, body) / static_cast<double>(calls));
  }
  return best;
}

core::Tensor normal_tensor(core::Context& context, core::DType dtype, const core::Shape& shape,
                           const Normal& values) {
  static uint64_t tensors = 0;
  core::Tensor wide(context, core::DType::kF32, shape);
  const auto mean = core::Tensor::from<double>(context, {values.mean}, {1}),
             deviation = core::Tensor::from<double>(context, {values.deviation}, {1});
  kernels::state_noise(context, {.mean = mean,
                                 .deviation = deviation,
                                 .key = {.seed = ++tensors},
                                 .state = wide.view().reshape({1, 1, shape.elements()})});
  if (dtype == core::DType::kF32) return wide;
  core::Tensor narrow(context, dtype, shape);
  kernels::convert(context, wide, narrow);
  core::synchronize(context);
  return narrow;
}

Ceilings measure_ceilings(core::Context& context, core::DType dtype, const Repetition& repetition) {
  const bool is_cpu = context.device().is_cpu();
  Ceilings ceilings;
  {
    const int64_t elements = int64_t{1} << (is_cpu ? 26 : 28);
    const auto source = normal_tensor(context, core::DType::kF32, {elements}, {});
    const auto target = normal_tensor(context, core::DType::kF32, {elements}, {});
    const double took = time_of(context, repetition, [&] { core::copy(context, source, target); });
    ceilings.bytes_per_second = 2 * static_cast<double>(source.view().bytes()) / took;
  }
  const int64_t side = is_cpu ? 2048 : 8192;
  const auto x = normal_tensor(context, dtype, {side, side}, {});
  const auto weight = normal_tensor(context, dtype, {side, side}, {});
  const core::Tensor y(context, dtype, {side, side});
  const double took = time_of(context, repetition, [&] {
    kernels::linear_forward(context, {.x = x, .weight = weight, .bias = {}, .y = y});
  });
  const auto cube =
      static_cast<double>(side) * static_cast<double>(side) * static_cast<double>(side);
  ceilings.flops_per_second = 2 * cube / took;
  return ceilings;
}

}  // namespace longhaul::bench
