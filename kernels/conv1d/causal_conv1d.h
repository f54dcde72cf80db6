// Causal depthwise convolution with SiLU and a state:
//   pre_t = bias + Σ_j weight[:, j] ⊙ x_{t−K+1+j},  y_t = silu(pre_t)   (tap K−1 meets the current
//   row).
// Rows before the first come from the initial state, the K−1 rows of x that preceded the segment.
#pragma once

#include "kernels/core/context.h"
#include "kernels/core/tensor.h"

namespace longhaul::kernels {

/// x [batch, length, channels] (batch and row strides free), weight [channels, K], bias [channels]
/// or absent, initial_state [batch, K−1, channels] or absent (zeros); y [batch, length, channels];
/// final_state [batch, K−1, channels] or absent: the last K−1 rows of initial_state ++ x, which for
/// length < K−1 still holds rows of initial_state. Any length ≥ 0. May not alias initial_state.
struct CausalConv1dForward {
  core::TensorView x, weight, bias, initial_state;
  core::TensorView y, final_state;
};
void causal_conv1d_forward(core::Context& context, const CausalConv1dForward& args);

/// dfinal_state [batch, K−1, channels] or absent (zeros). dx (strides free) is overwritten;
/// dweight, dbias accumulated; dinitial_state overwritten or absent.
struct CausalConv1dBackward {
  core::TensorView x, weight, bias, initial_state, dy, dfinal_state;
  core::TensorView dx, dweight, dbias, dinitial_state;
};
void causal_conv1d_backward(core::Context& context, const CausalConv1dBackward& args);

namespace cpu {
void causal_conv1d_forward(core::Context& context, const CausalConv1dForward& args);
void causal_conv1d_backward(core::Context& context, const CausalConv1dBackward& args);
}  // namespace cpu
namespace cuda {
void causal_conv1d_forward(core::Context& context, const CausalConv1dForward& args);
void causal_conv1d_backward(core::Context& context, const CausalConv1dBackward& args);
}  // namespace cuda

}  // namespace longhaul::kernels
