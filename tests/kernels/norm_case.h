// One call of a norm on any device, as functions of values.
#pragma once

#include <gtest/gtest.h>

#include "kernels/norm/gated_rms_norm.h"
#include "kernels/norm/rms_norm.h"
#include "tests/support/gradient_check.h"
#include "tests/support/random_tensor.h"

namespace longhaul::testing {

inline constexpr double kNormEpsilon = 1e-3;  // large enough that a wrong place for it shows

struct Norm {
  int64_t rows, width;
  bool with_x = true;
  bool wide = false;  ///< the residual stream in the state dtype
  core::DType dtype = core::DType::kF64;
  core::Device device = {};
  int threads = 2;

  Values inputs() const {
    Values values = {{"residual", random_values(rows * width, 1)},
                     {"weight", random_values(width, 2, 0.3, 1)}};
    if (with_x) values["x"] = random_values(rows * width, 3);
    return values;
  }

  core::DType residual_dtype() const { return wide ? core::state_dtype(dtype) : dtype; }

  Values forward(const Values& in) const {
    core::Context context(device, threads);
    const core::Tensor residual =
        tensor_of(context, residual_dtype(), {rows, width}, in.at("residual"));
    const core::Tensor weight = tensor_of(context, dtype, {width}, in.at("weight"));
    const core::Tensor x =
        with_x ? tensor_of(context, dtype, {rows, width}, in.at("x")) : core::Tensor();
    const core::Tensor y(context, dtype, {rows, width}),
        rstd(context, core::state_dtype(dtype), {rows});
    kernels::rms_norm_forward(context, {.x = x,
                                        .residual = residual,
                                        .weight = weight,
                                        .epsilon = kNormEpsilon,
                                        .y = y,
                                        .rstd = rstd});
    return {{"y", values_of(y)}, {"sum", values_of(residual)}};
  }

  Values backward(const Values& in, const Values& up) const {
    core::Context context(device, threads);
    auto sum = in.at("residual");
    for (size_t i = 0; with_x && i < sum.size(); ++i) sum[i] += in.at("x")[i];
    const core::Tensor residual = tensor_of(context, residual_dtype(), {rows, width}, sum);
    const core::Tensor weight = tensor_of(context, dtype, {width}, in.at("weight"));
    const core::Tensor y(context, dtype, {rows, width}),
        rstd(context, core::state_dtype(dtype), {rows});
    kernels::rms_norm_forward(
        context,
        {.residual = residual, .weight = weight, .epsilon = kNormEpsilon, .y = y, .rstd = rstd});
    const core::Tensor dy = tensor_of(context, dtype, {rows, width}, up.at("y"));
    const core::Tensor dresidual = tensor_of(context, dtype, {rows, width}, up.at("sum"));
    const core::Tensor dweight = core::Tensor::zeros(context, core::state_dtype(dtype), {width});
    kernels::rms_norm_backward(context, {.residual = residual,
                                         .weight = weight,
                                         .rstd = rstd,
                                         .dy = dy,
                                         .dresidual = dresidual,
                                         .dweight = dweight});
    Values gradients = {{"residual", values_of(dresidual)}, {"weight", values_of(dweight)}};
    if (with_x) gradients["x"] = values_of(dresidual);
    return gradients;
  }
};

/// z and dz are the middle columns of wider matrices.
struct GatedNorm {
  int64_t rows, width, groups;
  core::DType dtype = core::DType::kF64;
  core::Device device = {};
  int threads = 2;

  Values inputs() const {
    return {{"y", random_values(rows * width, 1)},
            {"z", random_values(rows * width, 2, 2)},
            {"weight", random_values(width, 3, 0.3, 1)}};
  }

  struct Tensors {
    core::Tensor y, z, weight, out, rstd;
  };
  Tensors run(core::Context& context, const Values& in) const {
    Tensors t{tensor_of(context, dtype, {rows, width}, in.at("y")),
              core::Tensor::zeros(context, dtype, {rows, width + 7}),
              tensor_of(context, dtype, {width}, in.at("weight")),
              core::Tensor(context, dtype, {rows, width}),
              core::Tensor(context, core::state_dtype(dtype), {rows, groups})};
    testing::assign(t.z.view().slice(1, 3, 3 + width), in.at("z"));
    kernels::gated_rms_norm_forward(context, {.y = t.y,
                                              .z = t.z.view().slice(1, 3, 3 + width),
                                              .weight = t.weight,
                                              .epsilon = kNormEpsilon,
                                              .out = t.out,
                                              .rstd = t.rstd});
    return t;
  }

  Values forward(const Values& in) const {
    core::Context context(device, threads);
    return {{"out", values_of(run(context, in).out)}};
  }

  Values backward(const Values& in, const Values& up) const {
    core::Context context(device, threads);
    const Tensors t = run(context, in);
    const core::Tensor dout = tensor_of(context, dtype, {rows, width}, up.at("out"));
    const core::Tensor dy(context, dtype, {rows, width}),
        dz = core::Tensor::zeros(context, dtype, {rows, width + 2});
    const core::Tensor dweight = core::Tensor::zeros(context, core::state_dtype(dtype), {width});
    const auto dz_view = dz.view().slice(1, 1, 1 + width);
    kernels::gated_rms_norm_backward(context, {.y = t.y,
                                               .z = t.z.view().slice(1, 3, 3 + width),
                                               .weight = t.weight,
                                               .rstd = t.rstd,
                                               .dout = dout,
                                               .dy = dy,
                                               .dz = dz_view,
                                               .dweight = dweight});
    for (const double pad : values_of(dz.view().slice(1, width + 1, width + 2))) EXPECT_EQ(pad, 0);
    return {{"y", values_of(dy)}, {"z", values_of(dz_view)}, {"weight", values_of(dweight)}};
  }
};

}  // namespace longhaul::testing
