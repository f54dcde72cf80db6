// One pass of the states over runs of chunks: ssd_scan_cuda.cu.
#pragma once

#include "kernels/ssd/ssd_device.cuh"

namespace longhaul::kernels::cuda::ssd {

template <class T>
struct Scan {
  Geometry g;
  Tokens<const T> left, right;
  Tokens<const float> dt;
  Decays decays;
  int runs;              ///< of chunks of a sequence, each by blocks of its own
  const float* initial;  ///< [batch, runs, heads, head_dim, state] or null
  float* last;           ///< likewise
  T* entering;           ///< or null
  const T* partner;      ///< with `entering`, or null; backward only
  float* through;
};

/// What one thread knows of one token: read early, used late.
template <Direction kDirection>
struct ScanToken {
  LogSum sum = {}, end = {};
  float dt = 0;
  bool is_there = false;

  /// What its share counts; 0 where no token is.
  __device__ float factor() const {
    if (!is_there) return 0;
    return kDirection == Direction::kForward ? decay_between(end, sum) * dt : decay_to(sum);
  }
};

/// For what goes by rows (ssd_rows.cuh).
void run_row_scan(core::Context& context, Direction direction, const Scan<BFloat16>& scan);

}  // namespace longhaul::kernels::cuda::ssd
