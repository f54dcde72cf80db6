// sigmoid, silu and softplus in fp32 on the device.
#pragma once

#include "kernels/core/device_code.cuh"

namespace longhaul::core::device {

constexpr float kLog2E = 1.44269504f;

/// Some last bits are given up: with exact functions its callers are bound by arithmetic.
__device__ inline float sigmoid(float x) { return fast_reciprocal(1.0f + fast_exp2(-kLog2E * x)); }
__device__ inline float silu(float x) { return x * sigmoid(x); }
/// The derivative of silu at x, given sigmoid(x).
__device__ inline float silu_derivative(float x, float s) { return fmaf(s, fmaf(-x, s, x), s); }
/// log(1 + e^x); x itself above 20, where the difference is below the last bit.
__device__ inline float softplus(float x) { return x > 20.0f ? x : log1pf(expf(x)); }

}  // namespace longhaul::core::device
