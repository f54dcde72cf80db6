#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/core/dispatch.h"
#include "kernels/core/parallel.h"
#include "kernels/optimizer/adamw.h"

namespace longhaul::kernels::cpu {
namespace {

template <class T>
void step(core::Context& context, const AdamwStep& args) {
  const double steps = static_cast<double>(args.step);
  const T beta1 = static_cast<T>(args.beta1), one_minus_beta1 = static_cast<T>(1 - args.beta1);
  const T beta2 = static_cast<T>(args.beta2), one_minus_beta2 = static_cast<T>(1 - args.beta2);
  const T correct1 = static_cast<T>(1 / (1 - std::pow(args.beta1, steps)));
  const T correct2 = static_cast<T>(1 / (1 - std::pow(args.beta2, steps)));
  const T rate = static_cast<T>(args.rate), epsilon = static_cast<T>(args.epsilon);
  const T keep = static_cast<T>(1 - args.rate * args.decay),
          scale = static_cast<T>(args.gradient_scale);
  T* weight = args.weight.data<T>();
  const T* gradient = args.gradient.data<T>();
  T* first = args.first_moment.data<T>();
  T* second = args.second_moment.data<T>();
  core::parallel_ranges(context, args.weight.elements(), 8192, [&](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) {
      const T g = scale * gradient[i];
      const T m = beta1 * first[i] + one_minus_beta1 * g;
      const T v = beta2 * second[i] + one_minus_beta2 * (g * g);
      first[i] = m;
      second[i] = v;
      const T update = (m * correct1) / (std::sqrt(v * correct2) + epsilon);
      weight[i] = keep * weight[i] - rate * update;
    }
  });
}

}  // namespace

void adamw_step(core::Context& context, const AdamwStep& args) {
  if (args.rounded) throw core::Error("adamw_step: dtype bf16 is not supported on the CPU");
  core::dispatch_float("adamw_step", args.weight.dtype(),
                       [&]<class T>(T) { step<T>(context, args); });
}

namespace {

void sum_blocks(core::Context& context, const BlockSums& args) {
  core::dispatch_float("block_sums_of_squares", args.x.dtype(), [&]<class T>(T) {
    const T* values = args.x.data<T>();
    const int64_t elements = args.x.elements();
    const int64_t at_once = std::max<int64_t>(1, 32768 / args.block);
    core::parallel_ranges(context, args.sums.elements(), at_once, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) {
        const int64_t last = std::min(elements, (block + 1) * args.block);
        double sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = block * args.block; i < last; ++i) {
          const double value = static_cast<double>(values[i]);
          sum += value * value;
        }
        args.sums.data<double>()[block] = sum;
      }
    });
  });
}

double sum_of_squares(core::Context& context, const core::TensorView& x) {
  constexpr int64_t kBlock = 32768;
  std::vector<double> sums(static_cast<size_t>((x.elements() + kBlock - 1) / kBlock));
  sum_blocks(context,
             {.x = x,
              .block = kBlock,
              .sums = {sums.data(), core::DType::kF64, {static_cast<int64_t>(sums.size())}}});
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace

std::vector<double> sums_of_squares(core::Context& context,
                                    std::span<const core::TensorView> views) {
  std::vector<double> sums;
  for (const core::TensorView& x : views) sums.push_back(sum_of_squares(context, x));
  return sums;
}

void block_sums_of_squares(core::Context& context, std::span<const BlockSums> parts) {
  for (const BlockSums& part : parts) sum_blocks(context, part);
}

}  // namespace longhaul::kernels::cpu
