// sigmoid, silu and softplus in fp32 on the device.
#pragma once

#include "kernels/core/device_code.cuh"

namespace longhaul::core::device {

/// By the device's fast exponential and division: some last bits, where a step is bound by memory.
__device__ inline float sigmoid(float x) { return __fdividef(1.0f, 1.0f + __expf(-x)); }
__device__ inline float silu(float x) { return x * sigmoid(x); }
/// The derivative of silu at x, given sigmoid(x).
__device__ inline float silu_derivative(float x, float s) { return s * (1.0f + x * (1.0f - s)); }
/// log(1 + e^x); x itself above 20, where the difference is below the last bit.
__device__ inline float softplus(float x) { return x > 20.0f ? x : log1pf(expf(x)); }

}  // namespace longhaul::core::device
