#include "kernels/mlp/swiglu.h"

#include "kernels/core/view_checks.h"

namespace longhaul::kernels {

void swiglu_forward(core::Context& context, const SwigluForward& args) {
  core::check_rank("swiglu y", args.y, 2);
  const core::DType dtype = args.y.dtype();
  const int64_t rows = args.y.extent(0), width = args.y.extent(1);
  core::check_contiguous(context, "swiglu x", args.x, dtype, {rows, 2 * width});
  core::check_contiguous(context, "swiglu y", args.y, dtype, {rows, width});
  return context.device().is_cpu() ? cpu::swiglu_forward(context, args)
                                   : cuda::swiglu_forward(context, args);
}

void swiglu_backward(core::Context& context, const SwigluBackward& args) {
  core::check_rank("swiglu dy", args.dy, 2);
  const core::DType dtype = args.dy.dtype();
  const int64_t rows = args.dy.extent(0), width = args.dy.extent(1);
  core::check_contiguous(context, "swiglu x", args.x, dtype, {rows, 2 * width});
  core::check_contiguous(context, "swiglu dy", args.dy, dtype, {rows, width});
  core::check_contiguous(context, "swiglu dx", args.dx, dtype, {rows, 2 * width});
  return context.device().is_cpu() ? cpu::swiglu_backward(context, args)
                                   : cuda::swiglu_backward(context, args);
}

}  // namespace longhaul::kernels
