// The gate of the optional MLP: y = value ⊙ silu(gate), where x = [value | gate].
#pragma once

#include "kernels/core/context.h"
#include "kernels/core/tensor.h"

namespace longhaul::kernels {

/// x [rows, 2·width], y [rows, width].
struct SwigluForward {
  core::TensorView x, y;
};
void swiglu_forward(core::Context& context, const SwigluForward& args);

/// dx [rows, 2·width] overwritten.
struct SwigluBackward {
  core::TensorView x, dy, dx;
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
