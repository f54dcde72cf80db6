// What the sources of h₀ and the measurements do with recurrent states.
#pragma once

#include <vector>

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

/// states: each [batch, groups, …] contiguous, of one dtype. sum, sum_of_squares [groups of all
/// states] (fp64, host), the groups in the order of the states, += Σ over batch and inner elements
/// of x, x². Fixed order. A device is waited for once.
struct StateMoments {
  std::vector<core::TensorView> states;
  core::TensorView sum, sum_of_squares;
};
void state_moments(core::Context& context, const StateMoments& args);

/// Row b of target [batch, …] becomes row from[b] of source [any batch, …], or zeros, or stays as
/// it is. Both contiguous, of one dtype, not the same memory; source may be absent if no row asks
/// for it. from [batch] I32, on the device; the caller has checked it.
struct StateGather {
  static constexpr int32_t kZero = -1, kKeep = -2;
  core::TensorView source, from;
  core::TensorView target;
};
void state_gather(core::Context& context, const StateGather& args);

namespace cpu {
void state_noise(core::Context& context, const StateNoise& args);
void state_moments(core::Context& context, const StateMoments& args);
void state_gather(core::Context& context, const StateGather& args);
}  // namespace cpu
namespace cuda {
void state_noise(core::Context& context, const StateNoise& args);
void state_moments(core::Context& context, const StateMoments& args);
void state_gather(core::Context& context, const StateGather& args);
}  // namespace cuda

}  // namespace longhaul::kernels
