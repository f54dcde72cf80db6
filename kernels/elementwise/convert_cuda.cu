#include "kernels/core/pack.cuh"
#include "kernels/elementwise/convert.h"

namespace longhaul::kernels::cuda {
namespace {

constexpr int kPack = 8;

/// Item: up to kPack adjacent elements.
template <class S, class T>
struct Convert {
  const S* source;
  T* target;
  int64_t count;
  __device__ void operator()(int64_t i) const {
    for (int64_t k = i * kPack; k < count && k < (i + 1) * kPack; ++k) {
      target[k] = core::device::from_float<T>(core::device::to_float(source[k]));
    }
  }
};

}  // namespace

void convert(core::Context& context, const core::TensorView& source,
             const core::TensorView& target) {
  const int64_t count = source.elements();
  core::dispatch_device("convert", source.dtype(), [&]<class S>(S) {
    core::dispatch_device("convert", target.dtype(), [&]<class T>(T) {
      core::for_each(context, core::ceil_div(count, kPack),
                     Convert<S, T>{source.data<S>(), target.data<T>(), count});
    });
  });
}

}  // namespace longhaul::kernels::cuda
