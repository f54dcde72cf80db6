#include "kernels/norm/rms_norm.h"

#include "kernels/core/view_checks.h"

namespace longhaul::kernels {

void rms_norm_forward(core::Context& context, const RmsNormForward& args) {
  core::check_rank("rms_norm residual", args.residual, 2);
  if (!args.x && !args.y) return;
  const core::DType dtype = args.y ? args.y.dtype() : args.x.dtype();
  const int64_t rows = args.residual.extent(0), width = args.residual.extent(1);
  core::check_contiguous(context, "rms_norm residual", args.residual,
                         core::dtype_or_wide(args.residual, dtype), {rows, width});
  if (args.x) core::check_contiguous(context, "rms_norm x", args.x, dtype, {rows, width});
  if (args.y) {
    core::check_contiguous(context, "rms_norm weight", args.weight, dtype, {width});
    core::check_contiguous(context, "rms_norm y", args.y, dtype, {rows, width});
    core::check_contiguous(context, "rms_norm rstd", args.rstd, core::state_dtype(dtype), {rows});
  }
  return context.device().is_cpu() ? cpu::rms_norm_forward(context, args)
                                   : cuda::rms_norm_forward(context, args);
}

void rms_norm_backward(core::Context& context, const RmsNormBackward& args) {
  core::check_rank("rms_norm residual", args.residual, 2);
  core::check_rank("rms_norm dy", args.dy, 2);
  const core::DType dtype = args.dy.dtype();
  const int64_t rows = args.residual.extent(0), width = args.residual.extent(1);
  core::check_contiguous(context, "rms_norm residual", args.residual,
                         core::dtype_or_wide(args.residual, dtype), {rows, width});
  core::check_contiguous(context, "rms_norm weight", args.weight, dtype, {width});
  core::check_contiguous(context, "rms_norm rstd", args.rstd, core::state_dtype(dtype), {rows});
  core::check_contiguous(context, "rms_norm dy", args.dy, dtype, {rows, width});
  core::check_contiguous(context, "rms_norm dresidual", args.dresidual, dtype, {rows, width});
  core::check_contiguous(context, "rms_norm dweight", args.dweight, core::state_dtype(dtype),
                         {width});
  return context.device().is_cpu() ? cpu::rms_norm_backward(context, args)
                                   : cuda::rms_norm_backward(context, args);
}

}  // namespace longhaul::kernels
