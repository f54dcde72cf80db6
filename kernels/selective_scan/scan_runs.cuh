// What whole runs of chunks do to a state, and to its gradient backwards.
#pragma once

#include "kernels/selective_scan/scan_device.cuh"

namespace longhaul::kernels::cuda::scan {

/// ΣΔ of the runs, and what they do to a state.
inline core::Tensor steps_of(core::Context& context, const Geometry& g) {
  return core::Tensor(context, core::DType::kF32, {g.batch, g.runs, g.channels});
}
inline core::Tensor states_of(core::Context& context, const Geometry& g) {
  return core::Tensor(context, core::DType::kF32, {g.batch, g.runs, g.channels, g.state});
}

enum class Direction : uint8_t { kForward, kBackward };

/// Of the runs [first, first + count): the state that a run makes of 0, or backwards the gradient
/// to the state that enters it where the one that leaves it counts for nothing.
template <class T>
struct RunMaps {
  Inputs<T> in;
  Tokens<const T> dy;  ///< backwards
  int first, count;
  float* states;  ///< [batch, runs, channels, state]
  float* steps;   ///< [batch, runs, channels], ΣΔ
};
template <class T, Direction kDirection>
void map_runs(core::Context& context, const RunMaps<T>& args);

/// What the maps of `runs` runs make of a state, run after run.
struct RunStates {
  Geometry g;
  Direction direction;
  const float *A_log, *steps;
  const float* start;  ///< [batch, channels, state]; null: 0
  float* states;       ///< the runs' own; overwritten with what enters each
  float* end;          ///< null: the last run has no map, and is not applied
};
void pass_runs(core::Context& context, const RunStates& args);

/// log_decay [batch, channels, state] = A Σ steps.
void store_log_decay(core::Context& context, const Geometry& g, const float* A_log,
                     const float* steps, float* log_decay);

}  // namespace longhaul::kernels::cuda::scan
