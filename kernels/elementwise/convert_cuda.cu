#include "kernels/core/pack.cuh"
#include "kernels/elementwise/convert.h"

namespace longhaul::kernels::cuda {
namespace {

using core::device::Pack;

/// Item: N adjacent elements, of the last as many as there are.
template <class S, class T, int N>
struct Convert {
  const S* source;
  T* target;
  int64_t count;
  __device__ void operator()(int64_t i) const {
    const int64_t first = i * N;
    if (first + N > count) {
      for (int64_t k = first; k < count; ++k) {
        target[k] = core::device::from_float<T>(core::device::to_float(source[k]));
      }
      return;
    }
    const auto from = Pack<S, N>::load(source + first);
    Pack<T, N> to;
    for (int k = 0; k < N; ++k) to.value[k] = from.value[k];
    to.store(target + first);
  }
};

template <int N, class S, class T>
void convert_packs(core::Context& context, const S* source, T* target, int64_t count) {
  core::for_each(context, core::ceil_div(count, N), Convert<S, T, N>{source, target, count});
}

}  // namespace

void convert(core::Context& context, const core::TensorView& source,
             const core::TensorView& target) {
  constexpr int kPack = 4;  // 16 bytes of fp32, 8 of bf16: adjacent lanes have adjacent ones
  const auto begins_pack = [](const core::TensorView& view) {
    return reinterpret_cast<uintptr_t>(view.raw()) %
               static_cast<uintptr_t>(kPack * size_of(view.dtype())) ==
           0;
  };
  const bool packed = begins_pack(source) && begins_pack(target);
  core::dispatch_device("convert", source.dtype(), [&]<class S>(S) {
    core::dispatch_device("convert", target.dtype(), [&]<class T>(T) {
      const auto run = packed ? convert_packs<kPack, S, T> : convert_packs<1, S, T>;
      run(context, source.data<S>(), target.data<T>(), source.elements());
    });
  });
}

}  // namespace longhaul::kernels::cuda
