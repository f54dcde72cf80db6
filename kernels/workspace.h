// What ops take from the pool while they run, beside their arguments: one entry an allocation, in
// bytes. A plan of memory replays them; a device's are known without the device.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/core/device.h"
#include "kernels/core/dtype.h"

namespace longhaul::kernels {

using core::DeviceKind;
using Workspace = std::vector<int64_t>;

/// Backward of norms, of time steps and of biases: sums over rows of a gradient of `width`.
/// `dtype`: of the op.
Workspace row_sums_workspace(DeviceKind device, int64_t rows, int64_t width, core::DType dtype);
/// The block of logits, and of their gradients.
Workspace linear_cross_entropy_workspace(DeviceKind device, int64_t rows, int64_t vocabulary,
                                         core::DType dtype);
Workspace embedding_backward_workspace(DeviceKind device, int64_t rows);
Workspace block_sums_workspace(DeviceKind device, int64_t blocks);
/// elements: of each view.
Workspace sums_of_squares_workspace(DeviceKind device, const std::vector<int64_t>& elements);
/// What a context holds from its first matrix product on.
int64_t gemm_workspace(DeviceKind device);

struct ConvExtents {
  DeviceKind device = DeviceKind::kCpu;
  int64_t batch = 0, length = 0, channels = 0, taps = 0;
  core::DType dtype = core::DType::kF32;
};
Workspace conv1d_backward_workspace(const ConvExtents& extents);

struct SsdExtents {
  DeviceKind device = DeviceKind::kCpu;
  int64_t batch = 0, length = 0, heads = 0, head_dim = 0, groups = 0, state = 0, chunk = 0;
  core::DType dtype = core::DType::kF32;
  int threads = 1;
  bool scratch_given = true;  ///< forward: chunk_states; backward: dchunk_states (staged)
  bool map = false;           ///< staged: the map is taken too
};
/// The whole pass, or the stage of it that takes most.
Workspace ssd_forward_workspace(const SsdExtents& extents);
Workspace ssd_backward_workspace(const SsdExtents& extents);

struct ScanExtents {
  DeviceKind device = DeviceKind::kCpu;
  int64_t batch = 0, length = 0, channels = 0, state = 0;
  core::DType dtype = core::DType::kF32;
  int threads = 1;
};
Workspace selective_scan_forward_workspace(const ScanExtents& extents);
Workspace selective_scan_map_workspace(const ScanExtents& extents);
Workspace selective_scan_backward_workspace(const ScanExtents& extents);
Workspace selective_scan_backward_map_workspace(const ScanExtents& extents);

namespace cpu {
Workspace ssd_forward_workspace(const SsdExtents& extents);
Workspace ssd_backward_workspace(const SsdExtents& extents);
Workspace selective_scan_forward_workspace(const ScanExtents& extents);
Workspace selective_scan_map_workspace(const ScanExtents& extents);
Workspace selective_scan_backward_workspace(const ScanExtents& extents);
Workspace selective_scan_backward_map_workspace(const ScanExtents& extents);
}  // namespace cpu

}  // namespace longhaul::kernels
