#include "kernels/linear/linear.h"

#include "kernels/core/view_checks.h"

namespace longhaul::kernels {

void linear_forward(core::Context& context, const LinearForward& args) {
  core::check_rank("linear x", args.x, 2);
  core::check_rank("linear weight", args.weight, 2);
  const core::DType dtype = args.x.dtype();
  const int64_t rows = args.x.extent(0), in = args.x.extent(1), out = args.weight.extent(0);
  core::check_rows(context, "linear x", args.x, dtype, {rows, in});
  core::check_contiguous(context, "linear weight", args.weight, dtype, {out, in});
  if (args.bias) core::check_contiguous(context, "linear bias", args.bias, dtype, {out});
  const core::DType result = core::dtype_or_wide(args.y, dtype);
  core::check_rows(context, "linear y", args.y, result, {rows, out});
  if (args.addend) core::check_rows(context, "linear addend", args.addend, result, {rows, out});
  return context.device().is_cpu() ? cpu::linear_forward(context, args)
                                   : cuda::linear_forward(context, args);
}

void linear_backward(core::Context& context, const LinearBackward& args) {
  core::check_rank("linear dy", args.dy, 2);
  core::check_rank("linear weight", args.weight, 2);
  const core::DType dtype = args.dy.dtype();
  const int64_t rows = args.dy.extent(0), out = args.dy.extent(1), in = args.weight.extent(1);
  core::check_rows(context, "linear dy", args.dy, dtype, {rows, out});
  core::check_contiguous(context, "linear weight", args.weight, dtype, {out, in});
  if (args.dx) core::check_rows(context, "linear dx", args.dx, dtype, {rows, in});
  if (args.dweight) {
    core::check_rows(context, "linear x", args.x, dtype, {rows, in});
    core::check_contiguous(context, "linear dweight", args.dweight, core::state_dtype(dtype),
                           {out, in});
  }
  if (args.dbias) {
    core::check_contiguous(context, "linear dbias", args.dbias, core::state_dtype(dtype), {out});
  }
  return context.device().is_cpu() ? cpu::linear_backward(context, args)
                                   : cuda::linear_backward(context, args);
}

}  // namespace longhaul::kernels
