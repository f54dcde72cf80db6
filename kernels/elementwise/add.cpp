#include "kernels/elementwise/add.h"

#include "kernels/core/view_checks.h"

namespace longhaul::kernels {

void add(core::Context& context, const core::TensorView& source, const core::TensorView& target) {
  CHECK(source) << "add source is absent";
  core::check_contiguous(context, "add source", source, source.dtype(), source.shape());
  core::check_contiguous(context, "add target", target, source.dtype(), source.shape());
  return context.device().is_cpu() ? cpu::add(context, source, target)
                                   : cuda::add(context, source, target);
}

}  // namespace longhaul::kernels
