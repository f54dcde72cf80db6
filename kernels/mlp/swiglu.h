// The gate of an MLP or of a mixer without a norm: y = value ⊙ silu(gate).
#pragma once

#include "kernels/core/context.h"
#include "kernels/core/tensor.h"

namespace longhaul::kernels {

/// All [rows, width] of one dtype; rows may have a stride.
struct SwigluForward {
  core::TensorView value, gate, y;
};
void swiglu_forward(core::Context& context, const SwigluForward& args);

/// dvalue and dgate are overwritten.
struct SwigluBackward {
  core::TensorView value, gate, dy, dvalue, dgate;
};
void swiglu_backward(core::Context& context, const SwigluBackward& args);

namespace cpu {
void swiglu_forward(core::Context& context, const SwigluForward& args);
void swiglu_backward(core::Context& context, const SwigluBackward& args);
}  // namespace cpu
namespace cuda {
void swiglu_forward(core::Context& context, const SwigluForward& args);
void swiglu_backward(core::Context& context, const SwigluBackward& args);
}  // namespace cuda

}  // namespace longhaul::kernels
