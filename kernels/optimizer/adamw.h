// AdamW (Loshchilov & Hutter 2019), decoupled decay, fused with gradient scaling (clipping) and
// bias correction:
//   g = gradient_scale · gradient;  m = β₁m + (1−β₁)g;  v = β₂v + (1−β₂)g²
//   w ← w − rate·(m̂/(√v̂ + ε) + decay·w),  m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ)
#pragma once

#include <span>
#include <vector>

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

/// Σ x² of each view (contiguous) in double, fixed order at any number of threads; not finite if
/// any element is not. Waits for the device once.
std::vector<double> sums_of_squares(core::Context& context,
                                    std::span<const core::TensorView> views);
inline double sum_of_squares(core::Context& context, const core::TensorView& x) {
  return sums_of_squares(context, {&x, 1}).front();
}

/// sums[b] = Σ x² in double over elements [b·block, (b+1)·block) of a flat view (the last block may
/// be shorter). Each sum depends on the elements of its block alone, so that parts of a buffer cut
/// at blocks give the sums of the whole. sums [⌈elements / block⌉] F64 on the host.
struct BlockSums {
  core::TensorView x;
  int64_t block = 1;
  core::TensorView sums;
};
/// Of several buffers, or parts of one. Waits for the device once.
void block_sums_of_squares(core::Context& context, std::span<const BlockSums> parts);

namespace cpu {
void adamw_step(core::Context& context, const AdamwStep& args);
std::vector<double> sums_of_squares(core::Context& context,
                                    std::span<const core::TensorView> views);
void block_sums_of_squares(core::Context& context, std::span<const BlockSums> parts);
}  // namespace cpu
namespace cuda {
void adamw_step(core::Context& context, const AdamwStep& args);
std::vector<double> sums_of_squares(core::Context& context,
                                    std::span<const core::TensorView> views);
void block_sums_of_squares(core::Context& context, std::span<const BlockSums> parts);
}  // namespace cuda

}  // namespace longhaul::kernels
