#include "kernels/core/dispatch.h"
#include "kernels/core/parallel.h"
#include "kernels/elementwise/add.h"

namespace longhaul::kernels::cpu {

void add(core::Context& context, const core::TensorView& source, const core::TensorView& target) {
  core::dispatch_float("add", source.dtype(), [&]<class T>(T) {
    const T* from = source.data<T>();
    T* to = target.data<T>();
    core::parallel_ranges(context, source.elements(), 16384, [&](int64_t begin, int64_t end) {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) to[i] += from[i];
    });
  });
}

}  // namespace longhaul::kernels::cpu
