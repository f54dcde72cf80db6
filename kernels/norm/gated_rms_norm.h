// Gated grouped RMSNorm of the Mamba-2 block: n = y ⊙ silu(z); out = n · rstd_group ⊙ weight,
// statistics per group of width/groups channels (as mamba_ssm; transformers ignores groups).
#pragma once

#include "kernels/core/context.h"
#include "kernels/core/tensor.h"

namespace longhaul::kernels {

/// y, z, out [rows, width] (z may have a row stride); weight [width]; rstd [rows, groups].
struct GatedRmsNormForward {
  core::TensorView y, z, weight;
  double epsilon = 1e-5;
  core::TensorView out, rstd;
};
void gated_rms_norm_forward(core::Context& context, const GatedRmsNormForward& args);

/// dy and dz are overwritten (dz may have a row stride), dweight accumulated.
struct GatedRmsNormBackward {
  core::TensorView y, z, weight, rstd, dout;
  core::TensorView dy, dz, dweight;
};
void gated_rms_norm_backward(core::Context& context, const GatedRmsNormBackward& args);

namespace cpu {
void gated_rms_norm_forward(core::Context& context, const GatedRmsNormForward& args);
void gated_rms_norm_backward(core::Context& context, const GatedRmsNormBackward& args);
}  // namespace cpu
namespace cuda {
void gated_rms_norm_forward(core::Context& context, const GatedRmsNormForward& args);
void gated_rms_norm_backward(core::Context& context, const GatedRmsNormBackward& args);
}  // namespace cuda

}  // namespace longhaul::kernels
