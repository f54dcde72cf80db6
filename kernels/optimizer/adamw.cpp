#include "kernels/optimizer/adamw.h"

#include "kernels/core/view_checks.h"

namespace longhaul::kernels {

void adamw_step(core::Context& context, const AdamwStep& args) {
  core::check_rank("adamw weight", args.weight, 1);
  const core::DType dtype = args.weight.dtype();
  const core::Shape shape = args.weight.shape();
  core::check_contiguous(context, "adamw weight", args.weight, dtype, shape);
  core::check_contiguous(context, "adamw gradient", args.gradient, dtype, shape);
  core::check_contiguous(context, "adamw first_moment", args.first_moment, dtype, shape);
  core::check_contiguous(context, "adamw second_moment", args.second_moment, dtype, shape);
  if (args.rounded) {
    core::check_contiguous(context, "adamw rounded", args.rounded, core::DType::kBF16, shape);
  }
  CHECK_GE(args.step, 1);
  return context.device().is_cpu() ? cpu::adamw_step(context, args)
                                   : cuda::adamw_step(context, args);
}

double sum_of_squares(core::Context& context, const core::TensorView& x) {
  core::check_rank("sum_of_squares x", x, 1);
  core::check_contiguous(context, "sum_of_squares x", x, x.dtype(), x.shape());
  return context.device().is_cpu() ? cpu::sum_of_squares(context, x)
                                   : cuda::sum_of_squares(context, x);
}

}  // namespace longhaul::kernels
