// One call of the convolution on any device, as functions of values.
#pragma once

#include <cmath>
#include <limits>

#include "kernels/conv1d/causal_conv1d.h"
#include "tests/support/gradient_check.h"
#include "tests/support/random_tensor.h"

namespace longhaul::testing {

/// x, y, dx and dy are columns of wider matrices, with rows to spare between the sequences.
struct Conv {
  int64_t batch, length, channels, taps;
  bool with_state = true, with_bias = true;
  int64_t margin = 2;  ///< columns on both sides
  core::DType dtype = core::DType::kF64;
  core::Device device = {};
  int threads = 2;

  core::Shape state_shape() const { return {batch, taps - 1, channels}; }

  Values inputs() const {
    Values values = {{"x", random_values(batch * length * channels, 1)},
                     {"weight", random_values(channels * taps, 2)}};
    if (with_bias) values["bias"] = random_values(channels, 3);
    if (with_state) values["state"] = random_values(batch * (taps - 1) * channels, 4);
    return values;
  }

  struct Strided {
    core::Tensor storage;
    core::TensorView view;
  };
  Strided strided(core::Context& context, const std::vector<double>& values) const {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const int64_t wide = channels + 2 * margin;
    core::Tensor storage =
        tensor_of(context, dtype, {batch, length + 1, wide},
                  std::vector<double>(static_cast<size_t>(batch * (length + 1) * wide), nan));
    const core::TensorView view =
        storage.view().slice(1, 0, length).slice(2, margin, margin + channels);
    if (!values.empty()) testing::assign(view, values);
    return {std::move(storage), view};
  }

  Values forward(const Values& in) const {
    core::Context context(device, threads);
    const Strided x = strided(context, in.at("x")), y = strided(context, {});
    const core::Tensor weight = tensor_of(context, dtype, {channels, taps}, in.at("weight"));
    const core::Tensor bias =
        with_bias ? tensor_of(context, dtype, {channels}, in.at("bias")) : core::Tensor();
    const core::Tensor state =
        with_state ? tensor_of(context, core::state_dtype(dtype), state_shape(), in.at("state"))
                   : core::Tensor();
    const core::Tensor last(context, core::state_dtype(dtype), state_shape());
    kernels::causal_conv1d_forward(context, {.x = x.view,
                                             .weight = weight,
                                             .bias = bias,
                                             .initial_state = state,
                                             .y = y.view,
                                             .final_state = last});
    return {{"y", values_of(y.view)}, {"final", values_of(last)}};
  }

  Values backward(const Values& in, const Values& up) const {
    core::Context context(device, threads);
    const Strided x = strided(context, in.at("x")), dy = strided(context, up.at("y")),
                  dx = strided(context, {});
    const core::Tensor weight = tensor_of(context, dtype, {channels, taps}, in.at("weight"));
    const core::Tensor bias =
        with_bias ? tensor_of(context, dtype, {channels}, in.at("bias")) : core::Tensor();
    const core::Tensor state =
        with_state ? tensor_of(context, core::state_dtype(dtype), state_shape(), in.at("state"))
                   : core::Tensor();
    const core::Tensor dfinal =
        tensor_of(context, core::state_dtype(dtype), state_shape(), up.at("final"));
    const core::Tensor dweight =
        core::Tensor::zeros(context, core::state_dtype(dtype), {channels, taps});
    const core::Tensor dbias =
        with_bias ? core::Tensor::zeros(context, core::state_dtype(dtype), {channels})
                  : core::Tensor();
    const core::Tensor dstate = with_state
                                    ? core::Tensor(context, core::state_dtype(dtype), state_shape())
                                    : core::Tensor();
    kernels::causal_conv1d_backward(context, {.x = x.view,
                                              .weight = weight,
                                              .bias = bias,
                                              .initial_state = state,
                                              .dy = dy.view,
                                              .dfinal_state = dfinal,
                                              .dx = dx.view,
                                              .dweight = dweight,
                                              .dbias = dbias,
                                              .dinitial_state = dstate});
    Values gradients = {{"x", values_of(dx.view)}, {"weight", values_of(dweight)}};
    if (with_bias) gradients["bias"] = values_of(dbias);
    if (with_state) gradients["state"] = values_of(dstate);
    return gradients;
  }

  Values expected(const Values& in) const {
    std::vector<double> y, last;
    for (int64_t b = 0; b < batch; ++b) {
      auto row = [&](int64_t t, int64_t c) {
        if (t >= 0) return in.at("x")[(b * length + t) * channels + c];
        return with_state ? in.at("state")[(b * (taps - 1) + t + taps - 1) * channels + c] : 0;
      };
      for (int64_t t = 0; t < length; ++t) {
        for (int64_t c = 0; c < channels; ++c) {
          double pre = with_bias ? in.at("bias")[c] : 0;
          for (int64_t j = 0; j < taps; ++j)
            pre += in.at("weight")[c * taps + j] * row(t - taps + 1 + j, c);
          y.push_back(pre / (1 + std::exp(-pre)));
        }
      }
      for (int64_t t = length - taps + 1; t < length; ++t) {
        for (int64_t c = 0; c < channels; ++c) last.push_back(row(t, c));
      }
    }
    return {{"y", y}, {"final", last}};
  }
};

}  // namespace longhaul::testing
