#include "kernels/workspace.h"

#include <bit>

#include "kernels/core/device_row_blocks.h"
#include "kernels/core/row_blocks.h"
#include "kernels/cuda_sizes.h"
#include "kernels/loss/linear_cross_entropy.h"
#include "kernels/selective_scan/scan_sizes.h"
#include "kernels/selective_scan/selective_scan.h"
#include "kernels/ssd/ssd.h"

namespace longhaul::kernels {

namespace {

constexpr int64_t kSingle = 4, kDouble = 8;

/// Arrays of the recurrence on a device (ssd_device.cuh, ssd_backward_cuda.cu).
struct DeviceSsd {
  int64_t decays, tokens, through, sums, gram, dgram, states;
  int64_t group_sums = 0, run_states = 0, run_decays = 0;

  explicit DeviceSsd(const SsdExtents& e) {
    const int64_t chunks = e.batch * ssd_chunks(e.length, e.chunk), heads = chunks * e.heads;
    const int64_t padded = cuda::ssd::padded_chunk(e.length, e.chunk);
    decays = heads * padded * 2 * kSingle;
    const int64_t tiles = padded / cuda::ssd::kTile;
    const int64_t pairs = tiles * (tiles + 1) / 2 * cuda::ssd::kTile;
    const int64_t state_halves = 2 * cuda::ssd::state_blocks(e.state);
    tokens = heads * (3 * pairs + (1 + 2 * state_halves) * padded) * kSingle;
    const int64_t parts = cuda::ssd::state_parts(e.head_dim, e.state);
    through = heads * parts * cuda::ssd::kWarps * kSingle;
    sums = 2 * heads * kDouble;
    gram = chunks * e.groups * padded * padded * kSingle;
    const bool by_rows =
        e.dtype == core::DType::kBF16 && cuda::ssd::goes_by_rows(padded, e.head_dim, e.state);
    dgram = gram;
    if (by_rows) {
      const int64_t groups = chunks * e.groups, heads_of_group = e.heads / e.groups;
      dgram *= cuda::ssd::head_parts(groups, heads_of_group);
      const int64_t gradient_parts = cuda::ssd::gradient_parts(groups, heads_of_group);
      if (gradient_parts > 1) {
        group_sums = 2 * gradient_parts * groups * cuda::ssd::kChunkOfRows * e.state * kSingle;
      }
    }
    states = heads * e.head_dim * e.state * core::size_of(e.dtype);
    const int64_t every = e.batch * e.heads;
    // The map has as many runs as what enters the chunks, or more.
    const int64_t runs =
        cuda::ssd::chunk_runs(every * parts, ssd_chunks(e.length, e.chunk), !e.map);
    if (runs > 1) {
      run_states = every * runs * e.head_dim * e.state * kSingle;
      run_decays = every * runs * kSingle;
    }
  }
};

/// Arrays of the selective scan on a device (scan_device.cuh).
struct DeviceScan {
  int64_t blocks, runs, steps, states;  ///< blocks: of channels

  DeviceScan(const ScanExtents& e, int64_t width, bool entering)
      : blocks(cuda::scan::channel_blocks(e.channels, width)),
        runs(cuda::scan::chunk_runs(e.batch * blocks, scan_chunks(e.length), e.state, entering)),
        steps(e.batch * runs * e.channels * kSingle),
        states(steps * e.state) {}
};

}  // namespace

int64_t ssd_best_chunk(DeviceKind device, core::DType dtype, int64_t head_dim, int64_t state,
                       int64_t chunk) {
  constexpr int64_t kMost = cuda::ssd::kChunkOfRows;
  const bool has_faster = device == DeviceKind::kCuda && dtype == core::DType::kBF16 &&
                          cuda::ssd::goes_by_rows(kMost, head_dim, state);
  return has_faster ? std::min(chunk, kMost) : chunk;
}

int64_t ssd_block_bytes(DeviceKind device, core::DType dtype) {
  if (device == DeviceKind::kCpu) return 0;
  return dtype == core::DType::kBF16 ? cuda::kSharedOfSmallDevices : cuda::kSharedOfFullDevices;
}

int64_t scan_block_bytes(DeviceKind device, core::DType dtype, int64_t state) {
  if (device == DeviceKind::kCpu) return 0;
  return cuda::scan::gradient_shared_bytes(cuda::scan::state_tiles(state), core::size_of(dtype));
}

Workspace row_sums_workspace(DeviceKind device, int64_t rows, int64_t width, core::DType dtype) {
  const int64_t blocks =
      device == DeviceKind::kCpu ? core::RowBlocks(rows).count() : core::device_row_blocks(rows);
  return {blocks * width * core::size_of(core::state_dtype(dtype))};
}

Workspace conv1d_backward_workspace(const ConvExtents& e) {
  const int64_t width = (e.taps + 1) * e.channels;
  if (e.device == DeviceKind::kCuda) {
    return {e.batch * cuda::conv_tiles(e.length) * width * kSingle};
  }
  Workspace workspace = row_sums_workspace(e.device, e.batch * e.length, width, e.dtype);
  workspace.push_back(width * core::size_of(core::state_dtype(e.dtype)));
  return workspace;
}

Workspace linear_cross_entropy_workspace(DeviceKind device, int64_t rows, int64_t vocabulary,
                                         core::DType dtype) {
  const int64_t element = core::size_of(dtype);
  if (device == DeviceKind::kCpu) {
    return {cpu::cross_entropy_block_rows(rows, vocabulary, element) * vocabulary * element};
  }
  const bool rounded = dtype == core::DType::kBF16;
  const auto held = cuda::cross_entropy_rows(rows, vocabulary, rounded);
  const int64_t stride = cuda::logits_stride(vocabulary);
  Workspace workspace{rows * kDouble, held.logits * stride * kSingle};
  if (rounded) workspace.push_back(held.gradients * stride * element);
  return workspace;
}

Workspace embedding_backward_workspace(DeviceKind device, int64_t rows) {
  if (device == DeviceKind::kCpu) return {};
  return {static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(rows))) * kDouble};
}

Workspace block_sums_workspace(DeviceKind device, int64_t blocks) {
  if (device == DeviceKind::kCpu) return {};
  return {blocks * kDouble};
}

Workspace sums_of_squares_workspace(DeviceKind device, const std::vector<int64_t>& elements) {
  int64_t sums = 0;
  for (const int64_t each : elements) sums += cuda::squares_blocks(each) + 1;
  return block_sums_workspace(device, sums);
}

int64_t gemm_workspace(DeviceKind device) {
  return device == DeviceKind::kCpu ? 0 : cuda::kGemmWorkspace;
}

Workspace ssd_forward_workspace(const SsdExtents& extents) {
  if (extents.device == DeviceKind::kCpu) return cpu::ssd_forward_workspace(extents);
  const DeviceSsd size(extents);
  Workspace workspace{size.decays, size.gram, size.run_states, size.run_decays};
  if (!extents.scratch_given) workspace.push_back(size.states);
  return workspace;
}

Workspace ssd_backward_workspace(const SsdExtents& extents) {
  if (extents.device == DeviceKind::kCpu) return cpu::ssd_backward_workspace(extents);
  const DeviceSsd size(extents);
  Workspace workspace{size.decays, size.tokens,     size.through,    size.sums,      size.gram,
                      size.dgram,  size.group_sums, size.run_states, size.run_decays};
  if (!extents.scratch_given) workspace.push_back(size.states);
  return workspace;
}

Workspace selective_scan_forward_workspace(const ScanExtents& e) {
  if (e.device == DeviceKind::kCpu) return cpu::selective_scan_forward_workspace(e);
  const DeviceScan size(e, cuda::scan::kForwardChannels, true);
  return size.runs > 1 ? Workspace{size.steps, size.states} : Workspace{size.steps};
}
Workspace selective_scan_map_workspace(const ScanExtents& e) {
  if (e.device == DeviceKind::kCpu) return cpu::selective_scan_map_workspace(e);
  const DeviceScan size(e, cuda::scan::kForwardChannels, false);
  return {size.steps, size.states};
}
Workspace selective_scan_backward_workspace(const ScanExtents& e) {
  if (e.device == DeviceKind::kCpu) return cpu::selective_scan_backward_workspace(e);
  const DeviceScan size(e, cuda::scan::kBackwardChannels, true);
  const int64_t rows = size.blocks * e.batch * e.length * cuda::scan::state_tiles(e.state) *
                       cuda::scan::kRowSums * kSingle;
  const int64_t sums = e.batch * size.runs * e.channels * (e.state + 2) * kSingle;
  if (size.runs == 1) return {rows, sums};
  return {size.steps, size.states, rows, sums};
}
Workspace selective_scan_backward_map_workspace(const ScanExtents& e) {
  if (e.device == DeviceKind::kCpu) return cpu::selective_scan_backward_map_workspace(e);
  const DeviceScan size(e, cuda::scan::kForwardChannels, false);
  return {size.steps, size.states};
}

}  // namespace longhaul::kernels
