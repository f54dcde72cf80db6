// One call of SwiGLU or of the time step on any device, as functions of values.
#pragma once

#include <limits>

#include "kernels/mlp/swiglu.h"
#include "kernels/ssd/time_step.h"
#include "tests/support/gradient_check.h"
#include "tests/support/random_tensor.h"

namespace longhaul::testing {

/// Value and gate are the halves of one matrix, as in an MLP; so are their gradients.
struct Swiglu {
  int64_t rows, width;
  core::DType dtype = core::DType::kF64;
  core::Device device = {};

  Values inputs() const { return {{"x", random_values(rows * 2 * width, 1)}}; }

  Values forward(const Values& in) const {
    core::Context context(device, 2);
    const core::Tensor x = tensor_of(context, dtype, {rows, 2 * width}, in.at("x")),
                       y(context, dtype, {rows, width});
    kernels::swiglu_forward(context, {.value = x.view().slice(1, 0, width),
                                      .gate = x.view().slice(1, width, 2 * width),
                                      .y = y});
    return {{"y", values_of(y)}};
  }
  Values backward(const Values& in, const Values& up) const {
    core::Context context(device, 2);
    const core::Tensor x = tensor_of(context, dtype, {rows, 2 * width}, in.at("x")),
                       dx(context, dtype, {rows, 2 * width});
    const core::Tensor dy = tensor_of(context, dtype, {rows, width}, up.at("y"));
    kernels::swiglu_backward(context, {.value = x.view().slice(1, 0, width),
                                       .gate = x.view().slice(1, width, 2 * width),
                                       .dy = dy,
                                       .dvalue = dx.view().slice(1, 0, width),
                                       .dgate = dx.view().slice(1, width, 2 * width)});
    return {{"x", values_of(dx)}};
  }
};

/// raw and draw are the last columns of wider matrices, as in an input projection.
struct TimeStep {
  int64_t rows, heads;
  double low = 0, high = std::numeric_limits<double>::infinity();
  core::DType dtype = core::DType::kF64;
  core::Device device = {};
  int threads = 2;

  Values inputs() const {
    return {{"raw", random_values(rows * heads, 1)}, {"bias", random_values(heads, 2)}};
  }
  Values forward(const Values& in) const {
    core::Context context(device, threads);
    const core::Tensor wide = core::Tensor::zeros(context, dtype, {rows, heads + 4});
    const auto raw = wide.view().slice(1, 4, 4 + heads);
    testing::assign(raw, in.at("raw"));
    const core::Tensor bias = tensor_of(context, core::state_dtype(dtype), {heads}, in.at("bias")),
                       dt(context, core::state_dtype(dtype), {rows, heads});
    kernels::time_step_forward(context,
                               {.raw = raw, .bias = bias, .low = low, .high = high, .dt = dt});
    return {{"dt", values_of(dt)}};
  }
  Values backward(const Values& in, const Values& up) const {
    core::Context context(device, threads);
    const core::Tensor wide = core::Tensor::zeros(context, dtype, {rows, heads + 4}),
                       dwide = core::Tensor::zeros(context, dtype, {rows, heads + 1});
    const auto raw = wide.view().slice(1, 4, 4 + heads), draw = dwide.view().slice(1, 1, 1 + heads);
    testing::assign(raw, in.at("raw"));
    const core::Tensor bias = tensor_of(context, core::state_dtype(dtype), {heads}, in.at("bias"));
    const core::Tensor ddt =
                           tensor_of(context, core::state_dtype(dtype), {rows, heads}, up.at("dt")),
                       dbias = core::Tensor::zeros(context, core::state_dtype(dtype), {heads});
    kernels::time_step_backward(context, {.raw = raw,
                                          .bias = bias,
                                          .ddt = ddt,
                                          .low = low,
                                          .high = high,
                                          .draw = draw,
                                          .dbias = dbias});
    return {{"raw", values_of(draw)}, {"bias", values_of(dbias)}};
  }
};

}  // namespace longhaul::testing
