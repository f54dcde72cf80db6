#include "kernels/ssd/time_step.h"

#include "kernels/core/view_checks.h"

namespace longhaul::kernels {

void time_step_forward(core::Context& context, const TimeStepForward& args) {
  core::check_rank("time_step raw", args.raw, 2);
  const core::DType dtype = args.raw.dtype(), state = core::state_dtype(dtype);
  const int64_t rows = args.raw.extent(0), heads = args.raw.extent(1);
  core::check_rows(context, "time_step raw", args.raw, dtype, {rows, heads});
  core::check_contiguous(context, "time_step bias", args.bias, state, {heads});
  core::check_contiguous(context, "time_step dt", args.dt, state, {rows, heads});
  return context.device().is_cpu() ? cpu::time_step_forward(context, args)
                                   : cuda::time_step_forward(context, args);
}

void time_step_backward(core::Context& context, const TimeStepBackward& args) {
  core::check_rank("time_step raw", args.raw, 2);
  const core::DType dtype = args.raw.dtype(), state = core::state_dtype(dtype);
  const int64_t rows = args.raw.extent(0), heads = args.raw.extent(1);
  core::check_rows(context, "time_step raw", args.raw, dtype, {rows, heads});
  core::check_contiguous(context, "time_step bias", args.bias, state, {heads});
  core::check_contiguous(context, "time_step ddt", args.ddt, state, {rows, heads});
  core::check_rows(context, "time_step draw", args.draw, dtype, {rows, heads});
  core::check_contiguous(context, "time_step dbias", args.dbias, state, {heads});
  return context.device().is_cpu() ? cpu::time_step_backward(context, args)
                                   : cuda::time_step_backward(context, args);
}

}  // namespace longhaul::kernels
