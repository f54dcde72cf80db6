#include "kernels/core/cuda_arithmetic.h"

#include "kernels/core/strided_loop.cuh"

namespace longhaul::core {
namespace {

struct Affine {
  const float *log_factor, *before, *state;
  float* result;
  int64_t width, begin;
  __device__ void operator()(int64_t item) const {
    const int64_t i = begin + item;
    const auto factor = static_cast<float>(exp(static_cast<double>(log_factor[i / width])));
    const float kept = before == nullptr || factor == 0.0f ? 0.0f : factor * before[i];
    result[i] = kept + state[i];
  }
};

template <class S, class T>
struct Accumulate {
  const S* source;
  T* target;
  StridedPair strides;
  __device__ void operator()(int64_t i) const {
    const auto at = strides.at(i);
    T& value = target[at.target];
    value = device::from_float<T>(device::to_float(value) + device::to_float(source[at.source]));
  }
};

struct Fill {
  float* target;
  float value;
  __device__ void operator()(int64_t i) const { target[i] = value; }
};

}  // namespace

void cuda_affine(Context& context, const CudaAffine& args) {
  if (args.begin >= args.end) return;
  for_each(context, args.end - args.begin,
           Affine{.log_factor = args.log_factor.data<float>(),
                  .before = optional_pointer<float>(args.before),
                  .state = args.state.data<float>(),
                  .result = args.result.data<float>(),
                  .width = args.state.elements() / args.log_factor.elements(),
                  .begin = args.begin});
}

void cuda_accumulate(Context& context, const TensorView& source, const TensorView& target) {
  CHECK(source.shape() == target.shape()) << source.shape() << " to " << target.shape();
  dispatch_device("accumulate", source.dtype(), [&]<class S>(S) {
    dispatch_device("accumulate", target.dtype(), [&]<class T>(T) {
      for_each(context, source.elements(),
               Accumulate<S, T>{source.data<S>(), target.data<T>(), StridedPair(source, target)});
    });
  });
}

void cuda_fill(Context& context, const TensorView& target, double value) {
  for_each(context, target.elements(), Fill{target.data<float>(), static_cast<float>(value)});
}

}  // namespace longhaul::core
