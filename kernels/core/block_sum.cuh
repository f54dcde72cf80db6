// Sums over the threads of a warp or a block, always in the same order.
#pragma once

#include "kernels/core/device_code.cuh"

namespace longhaul::core::device {

constexpr unsigned kAllLanes = 0xffffffffu;

template <class T>
__device__ T warp_sum(T value) {
  for (int lanes = 16; lanes > 0; lanes /= 2) value += __shfl_xor_sync(kAllLanes, value, lanes);
  return value;
}
/// The sum over this lane and those before it.
template <class T>
__device__ T warp_prefix_sum(T value) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (int lanes = 1; lanes < 32; lanes *= 2) {
    const T other = __shfl_up_sync(kAllLanes, value, lanes);
    if (lane >= lanes) value += other;
  }
  return value;
}
__device__ inline float warp_max(float value) {
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, lanes));
  }
  return value;
}

/// The sum, in every thread. `scratch` has 32 elements; may be used again at once.
template <class T>
__device__ T block_sum(T value, Shared<T> scratch) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int warps = static_cast<int>(blockDim.x) / 32;
  value = warp_sum(value);
  if (lane == 0) scratch[warp] = value;
  __syncthreads();
  value = warp_sum(lane < warps ? static_cast<T>(scratch[lane]) : T{});
  __syncthreads();
  return value;
}

__device__ inline float block_max(float value, Shared<float> scratch) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int warps = static_cast<int>(blockDim.x) / 32;
  value = warp_max(value);
  if (lane == 0) scratch[warp] = value;
  __syncthreads();
  value = warp_max(scratch[lane < warps ? lane : 0]);
  __syncthreads();
  return value;
}

}  // namespace longhaul::core::device
