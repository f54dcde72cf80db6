// What the sources of h₀ and the measurements do with recurrent states.
#pragma once

#include "kernels/core/context.h"
#include "kernels/core/random.h"
#include "kernels/core/tensor.h"

namespace longhaul::kernels {

/// state [batch, groups, …] contiguous; mean, deviation [groups] (fp64). Element i of
/// sequence b becomes mean[g] + deviation[g] · normal(key, (first_sequence + b) · elements per
/// sequence + i + offset): the numbers depend on the global sequence, not on who computes them.
struct StateNoise {
  core::TensorView mean, deviation;
  core::RandomKey key;
  int64_t first_sequence = 0;
  uint64_t offset = 0;  ///< distinguishes tensors that share a key (layers): a multiple of 2^40
  core::TensorView state;
};
void state_noise(core::Context& context, const StateNoise& args);

/// sum, sum_of_squares [groups] (fp64, host) += Σ over batch and inner elements of x, x². Fixed
/// order.
struct StateMoments {
  core::TensorView state;
  core::TensorView sum, sum_of_squares;
};
void state_moments(core::Context& context, const StateMoments& args);

namespace cpu {
void state_noise(core::Context& context, const StateNoise& args);
void state_moments(core::Context& context, const StateMoments& args);
}  // namespace cpu
namespace cuda {
void state_noise(core::Context& context, const StateNoise& args);
void state_moments(core::Context& context, const StateMoments& args);
}  // namespace cuda

}  // namespace longhaul::kernels
