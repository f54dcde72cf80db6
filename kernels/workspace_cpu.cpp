#include "kernels/core/row_blocks.h"
#include "kernels/loss/linear_cross_entropy.h"
#include "kernels/workspace.h"

namespace longhaul::kernels {

Workspace row_sums_workspace(int64_t rows, int64_t width, core::DType dtype) {
  return {core::RowBlocks(rows).count() * width * core::size_of(dtype)};
}

Workspace conv1d_backward_workspace(int64_t rows, int64_t channels, int64_t taps,
                                    core::DType dtype) {
  const int64_t width = (taps + 1) * channels;
  Workspace workspace = row_sums_workspace(rows, width, dtype);
  workspace.push_back(width * core::size_of(dtype));
  return workspace;
}

Workspace linear_cross_entropy_workspace(int64_t rows, int64_t vocabulary, core::DType dtype) {
  const int64_t element = core::size_of(dtype);
  return {cpu::cross_entropy_block_rows(rows, vocabulary, element) * vocabulary * element};
}

}  // namespace longhaul::kernels
