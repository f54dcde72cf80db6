#include "kernels/mlp/swiglu.h"

#include "kernels/core/view_checks.h"

namespace longhaul::kernels {

void swiglu_forward(core::Context& context, const SwigluForward& args) {
  core::check_rank("swiglu y", args.y, 2);
  const core::DType dtype = args.y.dtype();
  const core::Shape& shape = args.y.shape();
  core::check_rows(context, "swiglu value", args.value, dtype, shape);
  core::check_rows(context, "swiglu gate", args.gate, dtype, shape);
  core::check_rows(context, "swiglu y", args.y, dtype, shape);
  return context.device().is_cpu() ? cpu::swiglu_forward(context, args)
                                   : cuda::swiglu_forward(context, args);
}

void swiglu_backward(core::Context& context, const SwigluBackward& args) {
  core::check_rank("swiglu dy", args.dy, 2);
  const core::DType dtype = args.dy.dtype();
  const core::Shape& shape = args.dy.shape();
  core::check_rows(context, "swiglu value", args.value, dtype, shape);
  core::check_rows(context, "swiglu gate", args.gate, dtype, shape);
  core::check_rows(context, "swiglu dy", args.dy, dtype, shape);
  core::check_rows(context, "swiglu dvalue", args.dvalue, dtype, shape);
  core::check_rows(context, "swiglu dgate", args.dgate, dtype, shape);
  return context.device().is_cpu() ? cpu::swiglu_backward(context, args)
                                   : cuda::swiglu_backward(context, args);
}

}  // namespace longhaul::kernels
