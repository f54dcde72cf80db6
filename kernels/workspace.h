// What ops take from the pool while they run, beside their arguments: one entry an allocation. Of
// the CPU back end; a plan of memory replays them.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/core/dtype.h"

namespace longhaul::kernels {

using Workspace = std::vector<int64_t>;  // bytes

/// Backward of norms, of time steps and of biases: sums over rows of a gradient of `width`.
Workspace row_sums_workspace(int64_t rows, int64_t width, core::DType dtype);
Workspace conv1d_backward_workspace(int64_t rows, int64_t channels, int64_t taps,
                                    core::DType dtype);
/// The block of logits.
Workspace linear_cross_entropy_workspace(int64_t rows, int64_t vocabulary, core::DType dtype);

struct SsdExtents {
  int64_t batch = 0, length = 0, heads = 0, head_dim = 0, groups = 0, state = 0, chunk = 0;
  core::DType dtype = core::DType::kF32;
  int threads = 1;
};
Workspace ssd_forward_workspace(const SsdExtents& extents);
/// The whole pass or its second or third stage; its first, the map, takes no more.
Workspace ssd_backward_workspace(const SsdExtents& extents);

}  // namespace longhaul::kernels
