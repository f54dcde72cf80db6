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

std::vector<double> sums_of_squares(core::Context& context,
                                    std::span<const core::TensorView> views) {
  for (const core::TensorView& x : views) {
    core::check_contiguous(context, "sums_of_squares view", x, x.dtype(), x.shape());
  }
  return context.device().is_cpu() ? cpu::sums_of_squares(context, views)
                                   : cuda::sums_of_squares(context, views);
}

void block_sums_of_squares(core::Context& context, std::span<const BlockSums> parts) {
  for (const BlockSums& part : parts) {
    core::check_rank("block_sums_of_squares x", part.x, 1);
    core::check_contiguous(context, "block_sums_of_squares x", part.x, part.x.dtype(),
                           part.x.shape());
    CHECK_GE(part.block, 1);
    CHECK(part.sums.device().is_cpu() && part.sums.is_contiguous());
    CHECK(part.sums.dtype() == core::DType::kF64);
    CHECK_EQ(part.sums.elements(), (part.x.elements() + part.block - 1) / part.block);
  }
  return context.device().is_cpu() ? cpu::block_sums_of_squares(context, parts)
                                   : cuda::block_sums_of_squares(context, parts);
}

}  // namespace longhaul::kernels
