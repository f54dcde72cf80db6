#include "kernels/embedding/embedding.h"

#include "kernels/core/view_checks.h"

namespace longhaul::kernels {

void embedding_forward(core::Context& context, const EmbeddingForward& args) {
  core::check_rank("embedding y", args.y, 2);
  core::check_rank("embedding weight", args.weight, 2);
  const core::DType dtype = args.weight.dtype();
  const int64_t rows = args.y.extent(0), width = args.y.extent(1);
  core::check_contiguous(context, "embedding tokens", args.tokens, core::DType::kI32, {rows});
  core::check_contiguous(context, "embedding weight", args.weight, dtype,
                         {args.weight.extent(0), width});
  core::check_contiguous(context, "embedding y", args.y, core::dtype_or_wide(args.y, dtype),
                         {rows, width});
  return context.device().is_cpu() ? cpu::embedding_forward(context, args)
                                   : cuda::embedding_forward(context, args);
}

void embedding_backward(core::Context& context, const EmbeddingBackward& args) {
  core::check_rank("embedding dy", args.dy, 2);
  core::check_rank("embedding dweight", args.dweight, 2);
  const core::DType dtype = args.dy.dtype();
  const int64_t rows = args.dy.extent(0), width = args.dy.extent(1);
  core::check_contiguous(context, "embedding tokens", args.tokens, core::DType::kI32, {rows});
  core::check_contiguous(context, "embedding dy", args.dy, dtype, {rows, width});
  core::check_contiguous(context, "embedding dweight", args.dweight, core::state_dtype(dtype),
                         {args.dweight.extent(0), width});
  return context.device().is_cpu() ? cpu::embedding_backward(context, args)
                                   : cuda::embedding_backward(context, args);
}

}  // namespace longhaul::kernels
