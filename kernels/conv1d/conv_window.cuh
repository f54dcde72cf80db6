// What both directions of the convolution on the device read: rows of x with the state in front, a
// few channels at a time, and a window of as many rows as there are taps.
#pragma once

#include "kernels/core/activations.cuh"
#include "kernels/core/pack.cuh"
#include "kernels/core/tokens.cuh"
#include "kernels/cuda_sizes.h"

namespace longhaul::kernels::cuda {

using core::device::Tokens;

/// Lanes of a warp lie along the channels, kConvPack channels each (a window of more would not
/// leave the registers for enough warps); the warps of a block lie along the sequence.
constexpr int kConvLanes = 32, kConvWarps = 4, kConvPack = 4;

template <class T>
struct ConvInput {
  Tokens<const T> x;
  Tokens<const float> state;  ///< or absent (zeros)
  const T* weight;            ///< [channels, taps]
  const T* bias;              ///< or null
  int64_t length, channels, taps;

  /// Row t ≥ −(taps − 1) of sequence b; rows before that, and behind the end, are zeros.
  template <int N>
  __device__ core::device::Pack<T, N> row(int64_t b, int64_t t, int64_t channel) const {
    core::device::Pack<T, N> pack = {};
    if (t >= length) return pack;
    if (t >= 0) return core::device::Pack<T, N>::load(x.at(b, t) + channel);
    const int64_t kept = t + taps - 1;
    if (state.data == nullptr || kept < 0) return pack;
    for (int k = 0; k < N; ++k) pack.value[k] = state.at(b, kept)[channel + k];
    return pack;
  }
};

/// The last K rows, newest last, and the taps that meet them; fewer than K taps are zeros in front.
template <class T, int N, int K>
struct ConvWindow {
  float rows[K][N], weight[K][N], bias[N];

  __device__ ConvWindow(const ConvInput<T>& in, int64_t b, int64_t t, int64_t channel) {
    load_weight(in, channel);
#pragma unroll
    for (int j = 0; j < K; ++j) {
      const auto row = in.template row<N>(b, t - K + j, channel);
      for (int k = 0; k < N; ++k) rows[j][k] = row.value[k];
    }
    for (int k = 0; k < N; ++k) {
      bias[k] = in.bias == nullptr ? 0.0f : core::device::to_float(in.bias[channel + k]);
    }
  }
  __device__ void load_weight(const ConvInput<T>& in, int64_t channel) {
    const T* of_channel = in.weight + channel * in.taps;
    const bool whole = in.taps == K && reinterpret_cast<uintptr_t>(in.weight) % 16 == 0;
    for (int k = 0; k < N; ++k, of_channel += in.taps) {
      if (whole) {
        const auto taps = core::device::Pack<T, K>::load(of_channel);
#pragma unroll
        for (int j = 0; j < K; ++j) weight[j][k] = taps.value[j];
        continue;
      }
#pragma unroll
      for (int j = 0; j < K; ++j) {
        const auto tap = static_cast<int64_t>(j) - K + in.taps;
        weight[j][k] = tap < 0 ? 0.0f : core::device::to_float(of_channel[tap]);
      }
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

/// Blocks of threads along the channels, and along a sequence: one more if it has no rows.
struct ConvGrid {
  unsigned across, tiles;
  ConvGrid(int64_t channels, int64_t length, int pack, int64_t rows)
      : across(static_cast<unsigned>(core::ceil_div(channels / pack, kConvLanes))),
        tiles(static_cast<unsigned>(
            std::max<int64_t>(1, core::ceil_div(length, kConvWarps * rows)))) {}
};

/// The part of a sequence that a thread walks down: up to `rows` rows of N channels. Block
/// (sequence, tile, channels).
struct ConvPlace {
  int64_t tile;           ///< of [sequences, tiles]
  int64_t first_channel;  ///< of the block
  int64_t sequence, channel, begin, end;

  __device__ ConvPlace(const ConvGrid& grid, int pack, int64_t rows, int64_t length) {
    const int warp = static_cast<int>(threadIdx.x) / kConvLanes;
    const unsigned of_all = blockIdx.x / grid.across;
    tile = of_all;
    first_channel = static_cast<int64_t>(blockIdx.x % grid.across) * kConvLanes * pack;
    sequence = of_all / grid.tiles;
    channel = first_channel + static_cast<int64_t>(threadIdx.x % kConvLanes) * pack;
    begin = (static_cast<int64_t>(of_all % grid.tiles) * kConvWarps + warp) * rows;
    end = min(length, begin + rows);
  }
  /// A sequence without rows has a part too: its states are passed on.
  template <class T>
  __device__ bool exists(const ConvInput<T>& in) const {
    return channel < in.channels && (begin < in.length || begin == 0);
  }
};

/// Threads for ConvPlace.
inline core::LaunchShape conv_shape(const ConvGrid& grid, int64_t batch) {
  return {.blocks = batch * grid.tiles * grid.across, .threads = kConvWarps * kConvLanes};
}

template <class T, class Args>
ConvInput<T> conv_input(const Args& args) {
  return {.x = Tokens<const T>(args.x),
          .state = Tokens<const float>(args.initial_state),
          .weight = args.weight.template data<T>(),
          .bias = core::optional_pointer<T>(args.bias),
          .length = args.x.extent(1),
          .channels = args.x.extent(2),
          .taps = args.weight.extent(1)};
}

/// body(N, K) as constants: channels of a thread, kConvPack of them where all views allow that, and
/// rows of its window. Models have four taps.
template <class Body, class... Views>
void with_window(int64_t taps, const Body& body, const Views&... views) {
  const auto with_taps = [&]<int N>(std::integral_constant<int, N> pack) {
    if (taps <= 4) return body(pack, std::integral_constant<int, 4>{});
    body(pack, std::integral_constant<int, 8>{});
  };
  if (core::all_aligned(views...)) return with_taps(std::integral_constant<int, kConvPack>{});
  with_taps(std::integral_constant<int, 1>{});
}

}  // namespace longhaul::kernels::cuda
