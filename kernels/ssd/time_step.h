// The step size of the recurrence: dt = clamp(softplus(raw + bias), low, high); softplus is linear
// above 20.
#pragma once

#include <limits>

#include "kernels/core/context.h"
#include "kernels/core/tensor.h"

namespace longhaul::kernels {

/// raw [rows, heads] (row stride free), bias [heads] (state dtype); dt [rows, heads] (state dtype).
struct TimeStepForward {
  core::TensorView raw, bias;
  double low = 0, high = std::numeric_limits<double>::infinity();
  core::TensorView dt;
};
void time_step_forward(core::Context& context, const TimeStepForward& args);

/// draw (row stride free) overwritten: ddt · σ(raw + bias), 0 where clamped; dbias accumulated.
struct TimeStepBackward {
  core::TensorView raw, bias, ddt;
  double low = 0, high = std::numeric_limits<double>::infinity();
  core::TensorView draw, dbias;
};
void time_step_backward(core::Context& context, const TimeStepBackward& args);

namespace cpu {
void time_step_forward(core::Context& context, const TimeStepForward& args);
void time_step_backward(core::Context& context, const TimeStepBackward& args);
}  // namespace cpu
namespace cuda {
void time_step_forward(core::Context& context, const TimeStepForward& args);
void time_step_backward(core::Context& context, const TimeStepBackward& args);
}  // namespace cuda

}  // namespace longhaul::kernels
