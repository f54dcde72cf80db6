// What both directions of the convolution on the device read: rows of x with the state in front, a
// few channels at a time, and a window of as many rows as there are taps.
#pragma once

#include "kernels/core/activations.cuh"
#include "kernels/core/pack.cuh"
#include "kernels/cuda_sizes.h"

namespace longhaul::kernels::cuda {

/// Threads along the channels; kConvRows along the sequence.
constexpr int kConvThreads = 128;
/// Rows that a thread reads before it works on the first of them, forward and backward.
constexpr int kConvBatch = 4, kConvBackwardBatch = 2;

template <class T>
struct ConvInput {
  const T* x;
  const float* state;  ///< or null (zeros)
  const T* weight;     ///< [channels, taps]
  const T* bias;       ///< or null
  int64_t length, channels, taps;
  int64_t x_batch, x_row, state_batch, state_row;  ///< strides

  /// Row t ≥ −(taps − 1) of sequence b; rows before that, and behind the end, are zeros.
  template <int N>
  __device__ core::device::Pack<T, N> row(int64_t b, int64_t t, int64_t channel) const {
    core::device::Pack<T, N> pack = {};
    if (t >= length) return pack;
    if (t >= 0) return core::device::Pack<T, N>::load(x + b * x_batch + t * x_row + channel);
    const int64_t kept = t + taps - 1;
    if (state == nullptr || kept < 0) return pack;
    for (int k = 0; k < N; ++k) {
      pack.value[k] = state[b * state_batch + kept * state_row + channel + k];
    }
    return pack;
  }
};

/// The last K rows, newest last, and the taps that meet them; fewer than K taps are zeros in front.
template <class T, int N, int K>
struct ConvWindow {
  float rows[K][N], weight[K][N], bias[N];

  __device__ ConvWindow(const ConvInput<T>& in, int64_t b, int64_t t, int64_t channel) {
#pragma unroll
    for (int j = 0; j < K; ++j) {
      const auto tap = static_cast<int64_t>(j) - K + in.taps;
      const auto row = in.template row<N>(b, t - K + j, channel);
      for (int k = 0; k < N; ++k) {
        rows[j][k] = row.value[k];
        weight[j][k] =
            tap < 0 ? 0.0f : core::device::to_float(in.weight[(channel + k) * in.taps + tap]);
      }
    }
    for (int k = 0; k < N; ++k) {
      bias[k] = in.bias == nullptr ? 0.0f : core::device::to_float(in.bias[channel + k]);
    }
  }
  __device__ void push(const core::device::Pack<T, N>& row) {
#pragma unroll
    for (int j = 0; j + 1 < K; ++j) {
      for (int k = 0; k < N; ++k) rows[j][k] = rows[j + 1][k];
    }
    for (int k = 0; k < N; ++k) rows[K - 1][k] = row.value[k];
  }
  __device__ float before_activation(int k) const {
    float sum = bias[k];
#pragma unroll
    for (int j = 0; j < K; ++j) sum = fmaf(weight[j][k], rows[j][k], sum);
    return sum;
  }
};

template <class T, class Args>
ConvInput<T> conv_input(const Args& args) {
  const bool state = static_cast<bool>(args.initial_state);
  return {.x = args.x.template data<T>(),
          .state = core::optional_pointer<float>(args.initial_state),
          .weight = args.weight.template data<T>(),
          .bias = core::optional_pointer<T>(args.bias),
          .length = args.x.extent(1),
          .channels = args.x.extent(2),
          .taps = args.weight.extent(1),
          .x_batch = args.x.stride(0),
          .x_row = args.x.stride(1),
          .state_batch = state ? args.initial_state.stride(0) : 0,
          .state_row = state ? args.initial_state.stride(1) : 0};
}

/// body(N, K) as constants: channels of a thread, kPack of them where all views allow that, and
/// rows of its window. Models have four taps.
template <class T, int kPack, class Body, class... Views>
void with_window(int64_t taps, const Body& body, const Views&... views) {
  const auto with_taps = [&]<int N>(std::integral_constant<int, N> pack) {
    if (taps <= 4) return body(pack, std::integral_constant<int, 4>{});
    body(pack, std::integral_constant<int, 8>{});
  };
  if (core::all_aligned(views...)) return with_taps(std::integral_constant<int, kPack>{});
  with_taps(std::integral_constant<int, 1>{});
}

}  // namespace longhaul::kernels::cuda
