#include "kernels/loss/linear_cross_entropy.h"

#include "kernels/core/view_checks.h"

namespace longhaul::kernels {

LossSum linear_cross_entropy(core::Context& context, const LinearCrossEntropy& args) {
  core::check_rank("cross_entropy hidden", args.hidden, 2);
  core::check_rank("cross_entropy weight", args.weight, 2);
  const core::DType dtype = args.hidden.dtype();
  const int64_t rows = args.hidden.extent(0), width = args.hidden.extent(1);
  const int64_t vocabulary = args.weight.extent(0);
  CHECK_GT(vocabulary, 0);
  core::check_contiguous(context, "cross_entropy hidden", args.hidden, dtype, {rows, width});
  core::check_contiguous(context, "cross_entropy weight", args.weight, dtype, {vocabulary, width});
  core::check_contiguous(context, "cross_entropy labels", args.labels, core::DType::kI32, {rows});
  if (args.deferred != nullptr) {
    core::check_contiguous(context, "cross_entropy scale", args.deferred->scale, core::DType::kF64,
                           {1});
    core::check_contiguous(context, "cross_entropy losses", args.deferred->losses,
                           core::DType::kF64, {rows});
  }
  if (args.loss) {
    core::check_contiguous(context, "cross_entropy loss", args.loss, core::state_dtype(dtype),
                           {rows});
  }
  if (args.predicted) {
    core::check_contiguous(context, "cross_entropy predicted", args.predicted, core::DType::kI32,
                           {rows});
  }
  if (args.dhidden) {
    core::check_contiguous(context, "cross_entropy dhidden", args.dhidden, dtype, {rows, width});
  }
  if (args.dweight) {
    core::check_contiguous(context, "cross_entropy dweight", args.dweight, core::state_dtype(dtype),
                           {vocabulary, width});
  }
  if (rows == 0 && args.dweight && args.overwrite_dweight) core::set_zero(context, args.dweight);
  return context.device().is_cpu() ? cpu::linear_cross_entropy(context, args)
                                   : cuda::linear_cross_entropy(context, args);
}

}  // namespace longhaul::kernels
