#include "kernels/norm/gated_rms_norm.h"

#include "kernels/core/view_checks.h"

namespace longhaul::kernels {
namespace {

/// rstd [rows, groups], groups a divisor of width.
void check_rstd(const core::Context& context, const core::TensorView& rstd, core::DType dtype,
                int64_t rows, int64_t width) {
  core::check_rank("gated_rms_norm rstd", rstd, 2);
  const int64_t groups = rstd.extent(1);
  CHECK(groups > 0 && width % groups == 0)
      << "gated_rms_norm: width " << width << " in " << groups << " groups";
  core::check_contiguous(context, "gated_rms_norm rstd", rstd, core::state_dtype(dtype),
                         {rows, groups});
}

}  // namespace

void gated_rms_norm_forward(core::Context& context, const GatedRmsNormForward& args) {
  core::check_rank("gated_rms_norm y", args.y, 2);
  const core::DType dtype = args.y.dtype();
  const int64_t rows = args.y.extent(0), width = args.y.extent(1);
  core::check_contiguous(context, "gated_rms_norm y", args.y, dtype, {rows, width});
  core::check_rows(context, "gated_rms_norm z", args.z, dtype, {rows, width});
  core::check_contiguous(context, "gated_rms_norm weight", args.weight, dtype, {width});
  core::check_contiguous(context, "gated_rms_norm out", args.out, dtype, {rows, width});
  check_rstd(context, args.rstd, dtype, rows, width);
  return context.device().is_cpu() ? cpu::gated_rms_norm_forward(context, args)
                                   : cuda::gated_rms_norm_forward(context, args);
}

void gated_rms_norm_backward(core::Context& context, const GatedRmsNormBackward& args) {
  core::check_rank("gated_rms_norm y", args.y, 2);
  const core::DType dtype = args.y.dtype();
  const int64_t rows = args.y.extent(0), width = args.y.extent(1);
  core::check_contiguous(context, "gated_rms_norm y", args.y, dtype, {rows, width});
  core::check_rows(context, "gated_rms_norm z", args.z, dtype, {rows, width});
  core::check_contiguous(context, "gated_rms_norm weight", args.weight, dtype, {width});
  check_rstd(context, args.rstd, dtype, rows, width);
  core::check_contiguous(context, "gated_rms_norm dout", args.dout, dtype, {rows, width});
  core::check_contiguous(context, "gated_rms_norm dy", args.dy, dtype, {rows, width});
  core::check_rows(context, "gated_rms_norm dz", args.dz, dtype, {rows, width});
  core::check_contiguous(context, "gated_rms_norm dweight", args.dweight, core::state_dtype(dtype),
                         {width});
  return context.device().is_cpu() ? cpu::gated_rms_norm_backward(context, args)
                                   : cuda::gated_rms_norm_backward(context, args);
}

}  // namespace longhaul::kernels
