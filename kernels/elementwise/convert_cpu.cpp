#include "kernels/core/parallel.h"
#include "kernels/elementwise/convert.h"

namespace longhaul::kernels::cpu {
namespace {

template <class S, class T>
void copy_as(core::Context& context, const core::TensorView& source,
             const core::TensorView& target) {
  const S* from = source.data<S>();
  T* to = target.data<T>();
  core::parallel_ranges(context, source.elements(), 16384, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = T(static_cast<float>(from[i]));
  });
}

template <class S>
void copy_from(core::Context& context, const core::TensorView& source,
               const core::TensorView& target) {
  if (target.dtype() == core::DType::kF32) return copy_as<S, float>(context, source, target);
  copy_as<S, core::BFloat16>(context, source, target);
}

}  // namespace

void convert(core::Context& context, const core::TensorView& source,
             const core::TensorView& target) {
  if (source.dtype() == core::DType::kF32) return copy_from<float>(context, source, target);
  copy_from<core::BFloat16>(context, source, target);
}

}  // namespace longhaul::kernels::cpu
