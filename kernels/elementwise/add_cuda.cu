#include "kernels/core/pack.cuh"
#include "kernels/elementwise/add.h"

namespace longhaul::kernels::cuda {
namespace {

template <class T, int N>
struct Add {
  const T* source;
  T* target;
  __device__ void operator()(int64_t i) const {
    const auto from = core::device::Pack<T, N>::load(source + i * N);
    auto to = core::device::Pack<T, N>::load(target + i * N);
    for (int k = 0; k < N; ++k) to.value[k] += from.value[k];
    to.store(target + i * N);
  }
};

}  // namespace

void add(core::Context& context, const core::TensorView& source, const core::TensorView& target) {
  const int64_t count = source.elements();
  const auto flat = [&](const core::TensorView& view) { return view.reshape({count}); };
  core::dispatch_device("add", source.dtype(), [&]<class T>(T) {
    core::with_pack<T>(
        [&]<int N>(std::integral_constant<int, N>) {
          core::for_each(context, count / N, Add<T, N>{source.data<T>(), target.data<T>()});
        },
        flat(source), flat(target));
  });
}

}  // namespace longhaul::kernels::cuda
