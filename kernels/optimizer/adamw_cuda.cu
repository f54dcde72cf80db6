#include <cmath>

#include "kernels/core/pack.cuh"
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
    Pack<core::BFloat16, N> half;
    for (int k = 0; k < N; ++k) half.value[k] = w.value[k];
    half.store(rounded + at);
  }
};

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
      args.weight, args.gradient, args.first_moment, args.second_moment, args.rounded);
}

}  // namespace longhaul::kernels::cuda
