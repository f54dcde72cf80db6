// Dense layer: y = x Wᵀ + b + addend.
#pragma once

#include "kernels/core/context.h"
#include "kernels/core/tensor.h"

namespace longhaul::kernels {

/// Shapes: x [rows, in], weight [out, in], bias [out] or absent, addend [rows, out] or absent, y
/// [rows, out]. x, addend and y may have a row stride; weight is contiguous. All of one dtype; y
/// and the addend also of its state dtype (bf16 operands, fp32 sums). The addend may be y.
struct LinearForward {
  core::TensorView x, weight, bias, addend;
  core::TensorView y;
};
void linear_forward(core::Context& context, const LinearForward& args);

/// dx = dy W, or += with add_to_dx (may be absent); dweight += dyᵀ x, or = with overwrite_dweight,
/// where what was there is not read; dbias += Σ_rows dy (either may be absent).
struct LinearBackward {
  core::TensorView x, weight, dy;
  core::TensorView dx, dweight, dbias;
  bool overwrite_dweight = false;
  bool add_to_dx = false;
};
void linear_backward(core::Context& context, const LinearBackward& args);

namespace cpu {
void linear_forward(core::Context& context, const LinearForward& args);
void linear_backward(core::Context& context, const LinearBackward& args);
}  // namespace cpu
namespace cuda {
void linear_forward(core::Context& context, const LinearForward& args);
void linear_backward(core::Context& context, const LinearBackward& args);
}  // namespace cuda

}  // namespace longhaul::kernels
