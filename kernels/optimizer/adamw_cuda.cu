#include <cmath>

#include "kernels/core/block_sum.cuh"
#include "kernels/core/pack.cuh"
#include "kernels/cuda_sizes.h"
#include "kernels/optimizer/adamw.h"

namespace longhaul::kernels::cuda {
namespace {

using core::device::Pack;

struct Factors {
  float beta1, one_minus_beta1, beta2, one_minus_beta2, correct1, correct2;
  float rate, epsilon, keep, scale;
};

Factors factors_of(const AdamwStep& args) {
  const auto steps = static_cast<double>(args.step);
  return {.beta1 = static_cast<float>(args.beta1),
          .one_minus_beta1 = static_cast<float>(1 - args.beta1),
          .beta2 = static_cast<float>(args.beta2),
          .one_minus_beta2 = static_cast<float>(1 - args.beta2),
          .correct1 = static_cast<float>(1 / (1 - std::pow(args.beta1, steps))),
          .correct2 = static_cast<float>(1 / (1 - std::pow(args.beta2, steps))),
          .rate = static_cast<float>(args.rate),
          .epsilon = static_cast<float>(args.epsilon),
          .keep = static_cast<float>(1 - args.rate * args.decay),
          .scale = static_cast<float>(args.gradient_scale)};
}

template <int N>
struct Step {
  Factors f;
  float* weight;
  const float* gradient;
  float *first, *second;
  core::BFloat16* rounded;  ///< or null
  __device__ void operator()(int64_t i) const {
    const int64_t at = i * N;
    auto w = Pack<float, N>::load(weight + at), m = Pack<float, N>::load(first + at);
    auto v = Pack<float, N>::load(second + at);
    const auto gradients = Pack<float, N>::load(gradient + at);
    for (int k = 0; k < N; ++k) {
      const float g = f.scale * gradients.value[k];
      m.value[k] = f.beta1 * m.value[k] + f.one_minus_beta1 * g;
      v.value[k] = f.beta2 * v.value[k] + f.one_minus_beta2 * (g * g);
      const float update = (m.value[k] * f.correct1) / (sqrtf(v.value[k] * f.correct2) + f.epsilon);
      w.value[k] = f.keep * w.value[k] - f.rate * update;
    }
    w.store(weight + at);
    m.store(first + at);
    v.store(second + at);
    if (rounded == nullptr) return;
    for (int k = 0; k < N; ++k) {
      rounded[at + k] = core::device::from_float<core::BFloat16>(w.value[k]);
    }
  }
};

template <class T>
__global__ void square_sums(const T* values, int64_t count, double* sums) {
  core::device::SharedMemory memory;
  const auto scratch = memory.take<double>(32);
  const int64_t begin = blockIdx.x * kSquaresBlock, end = min(count, begin + kSquaresBlock);
  double sum = 0;
  for (int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) {
    const auto value = static_cast<double>(core::device::to_float(values[i]));
    sum += value * value;
  }
  sum = core::device::block_sum(sum, scratch);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

__global__ void total(const double* sums, int64_t count, double* target) {
  core::device::SharedMemory memory;
  const auto scratch = memory.take<double>(32);
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) sum += sums[i];
  sum = core::device::block_sum(sum, scratch);
  if (threadIdx.x == 0) *target = sum;
}

}  // namespace

void adamw_step(core::Context& context, const AdamwStep& args) {
  if (args.weight.dtype() != core::DType::kF32) {
    throw core::Error(core::message("adamw_step: masters of dtype ", name_of(args.weight.dtype()),
                                    " are not supported on CUDA (fp32)"));
  }
  core::with_pack<float>(
      [&]<int N>(std::integral_constant<int, N>) {
        core::for_each(context, args.weight.elements() / N,
                       Step<N>{.f = factors_of(args),
                               .weight = args.weight.data<float>(),
                               .gradient = args.gradient.data<float>(),
                               .first = args.first_moment.data<float>(),
                               .second = args.second_moment.data<float>(),
                               .rounded = core::optional_pointer<core::BFloat16>(args.rounded)});
      },
      args.weight, args.gradient, args.first_moment, args.second_moment);
}

std::vector<double> sums_of_squares(core::Context& context,
                                    std::span<const core::TensorView> views) {
  const auto count = static_cast<int64_t>(views.size());
  int64_t blocks = 0;
  for (const core::TensorView& x : views) blocks += squares_blocks(x.elements());
  const core::Tensor sums(context, core::DType::kF64, {count + blocks});
  constexpr int64_t kScratch = 32 * sizeof(double);
  double* of_view = sums.data<double>();
  double* of_blocks = of_view + count;
  for (const core::TensorView& x : views) {
    const int64_t own = squares_blocks(x.elements());
    core::dispatch_device("sums_of_squares", x.dtype(), [&]<class T>(T) {
      core::launch(context, {.blocks = own, .shared_bytes = kScratch}, square_sums<T>, x.data<T>(),
                   x.elements(), of_blocks);
    });
    core::launch(context, {.shared_bytes = kScratch}, total, of_blocks, own, of_view);
    of_view += 1;
    of_blocks += own;
  }
  std::vector<double> results(views.size());
  if (count > 0) {
    core::copy(context, sums.view().slice(0, 0, count),
               core::TensorView(results.data(), core::DType::kF64, {count}));
  }
  return results;
}

}  // namespace longhaul::kernels::cuda
