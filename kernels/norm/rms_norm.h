// RMSNorm with the residual addition in the same pass:
//   residual ← residual + x;  y = residual · rstd ⊙ weight,  rstd = 1/√(mean(residual²) + epsilon).
// In a bf16 model the residual stream may be kept in fp32 ("wide").
#pragma once

#include "kernels/core/context.h"
#include "kernels/core/tensor.h"

namespace longhaul::kernels {

/// x [rows, width] or absent (nothing is added); residual [rows, width] in and out, of x's dtype or
/// wide; weight [width]; y [rows, width] or absent (only the addition is done); rstd [rows], kept
/// for backward.
struct RmsNormForward {
  core::TensorView x, residual, weight;
  double epsilon = 1e-5;
  core::TensorView y, rstd;
};
void rms_norm_forward(core::Context& context, const RmsNormForward& args);

/// residual: the sum that was normed. dresidual [rows, width], of dy's dtype, += gradient through
/// the norm; dweight [width] += … (fixed order).
struct RmsNormBackward {
  core::TensorView residual, weight, rstd, dy;
  core::TensorView dresidual, dweight;
};
void rms_norm_backward(core::Context& context, const RmsNormBackward& args);

namespace cpu {
void rms_norm_forward(core::Context& context, const RmsNormForward& args);
void rms_norm_backward(core::Context& context, const RmsNormBackward& args);
}  // namespace cpu
namespace cuda {
void rms_norm_forward(core::Context& context, const RmsNormForward& args);
void rms_norm_backward(core::Context& context, const RmsNormBackward& args);
}  // namespace cuda

}  // namespace longhaul::kernels
