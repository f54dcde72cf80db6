// AdamW (Loshchilov & Hutter 2019), decoupled decay, fused with gradient scaling (clipping) and
// bias correction:
//   g = gradient_scale · gradient;  m = β₁m + (1−β₁)g;  v = β₂v + (1−β₂)g²
//   w ← w − rate·(m̂/(√v̂ + ε) + decay·w),  m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ)
#pragma once

#include "kernels/core/context.h"
#include "kernels/core/tensor.h"

namespace longhaul::kernels {

/// Flat views of equal length: weight (master, state dtype) in and out, gradient, first and second
/// moment; rounded (bf16) gets the new weights in the precision that the model computes in, or is
/// absent.
struct AdamwStep {
  core::TensorView weight, gradient, first_moment, second_moment;
  core::TensorView rounded = {};
  double rate = 0, beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, decay = 0, gradient_scale = 1;
  int64_t step = 1;  ///< t, counted from 1
};
void adamw_step(core::Context& context, const AdamwStep& args);

/// Σ x² of a flat view in double, fixed order at any number of threads; not finite if any element
/// is not.
double sum_of_squares(core::Context& context, const core::TensorView& x);

namespace cpu {
void adamw_step(core::Context& context, const AdamwStep& args);
double sum_of_squares(core::Context& context, const core::TensorView& x);
}  // namespace cpu
namespace cuda {
void adamw_step(core::Context& context, const AdamwStep& args);
double sum_of_squares(core::Context& context, const core::TensorView& x);
}  // namespace cuda

}  // namespace longhaul::kernels
