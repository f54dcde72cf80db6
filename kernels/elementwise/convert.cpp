#include "kernels/elementwise/convert.h"

#include "kernels/core/view_checks.h"

namespace longhaul::kernels {

void convert(core::Context& context, const core::TensorView& source,
             const core::TensorView& target) {
  CHECK(source && target) << "convert: a view is absent";
  core::check_contiguous(context, "convert source", source, source.dtype(), source.shape());
  core::check_contiguous(context, "convert target", target, target.dtype(), source.shape());
  for (const core::TensorView& view : {source, target}) {
    CHECK(view.dtype() == core::DType::kF32 || view.dtype() == core::DType::kBF16)
        << "convert: dtype " << name_of(view.dtype());
  }
  return context.device().is_cpu() ? cpu::convert(context, source, target)
                                   : cuda::convert(context, source, target);
}

}  // namespace longhaul::kernels
