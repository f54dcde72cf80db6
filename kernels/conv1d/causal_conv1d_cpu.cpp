#include <cmath>

#include "kernels/conv1d/causal_conv1d.h"
#include "kernels/conv1d/conv_rows.h"
#include "kernels/core/dispatch.h"
#include "kernels/core/parallel.h"
#include "kernels/core/vector_math.h"

namespace longhaul::kernels::cpu {
namespace {

constexpr int64_t kRowsPerItem = 64, kChannelsAtOnce = 512;

/// y of R adjacent rows; rows[i + j] is what output i meets with tap j.
template <class T, int K, int R>
[[gnu::flatten]] void convolve(const T* const* rows, const Taps<T>& taps, Channels channels, T* y,
                               int64_t y_stride) {
  const T* row[R + K - 1];
  const T* tap[K];
  for (int i = 0; i < R + K - 1; ++i) row[i] = rows[i];
  for (int j = 0; j < K; ++j) tap[j] = taps.tap(j);
  const T* bias = taps.bias.data();
  auto channel = [&](int64_t c) {
    T pre[R];
    unrolled<R>([&](auto i) { pre[i] = bias[c]; });
    unrolled<K>([&](auto j) {
      const T weight = tap[j][c];
      unrolled<R>([&](auto i) { pre[i] = std::fma(weight, row[i + j][c], pre[i]); });
    });
    unrolled<R>([&](auto i) { y[i * y_stride + c] = core::silu(pre[i]); });
  };
#pragma omp simd
  for (int64_t c = channels.begin; c < channels.end; ++c) channel(c);
}

template <class T, int K>
void forward_rows(const CausalConv1dForward& args, const Rows<T, K>& x, const Taps<T>& taps,
                  int64_t b, int64_t begin, int64_t end) {
  constexpr int R = kTogether<T, K>;
  T* y = args.y.data<T>() + b * args.y.stride(0);
  const int64_t y_stride = args.y.stride(1), all = args.x.extent(2);
  const T* rows[R + K - 1];
  for (int64_t first = 0; first < all; first += kChannelsAtOnce) {
    const Channels channels{first, std::min(all, first + kChannelsAtOnce)};
    int64_t t = begin;
    for (; t + R <= end; t += R) {
      for (int i = 0; i < R + K - 1; ++i) rows[i] = x.at(b, t + i - (K - 1));
      convolve<T, K, R>(rows, taps, channels, y + t * y_stride, y_stride);
    }
    for (; t < end; ++t) {
      for (int i = 0; i < K; ++i) rows[i] = x.at(b, t + i - (K - 1));
      convolve<T, K, 1>(rows, taps, channels, y + t * y_stride, y_stride);
    }
  }
}

template <class T, int K>
void forward(core::Context& context, const CausalConv1dForward& args) {
  const int64_t batch = args.x.extent(0), length = args.x.extent(1), channels = args.x.extent(2);
  const Rows<T, K> x(args.x, args.initial_state);
  const Taps<T> taps(args.weight, args.bias);
  const int64_t items = (length + kRowsPerItem - 1) / kRowsPerItem;
  core::parallel_items(context, batch * items, [&](int64_t item) {
    const int64_t begin = item % items * kRowsPerItem;
    forward_rows<T, K>(args, x, taps, item / items, begin, std::min(length, begin + kRowsPerItem));
  });
  if (!args.final_state) return;
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t i = 0; i < K - 1; ++i) {
      T* to = args.final_state.data<T>() + b * args.final_state.stride(0) +
              i * args.final_state.stride(1);
      std::copy_n(x.at(b, length - (K - 1) + i), channels, to);
    }
  }
}

}  // namespace

void causal_conv1d_forward(core::Context& context, const CausalConv1dForward& args) {
  core::dispatch_float("causal_conv1d_forward", args.x.dtype(), [&]<class T>(T) {
    dispatch_taps(args.weight.extent(1),
                  [&]<int K>(std::integral_constant<int, K>) { forward<T, K>(context, args); });
  });
}

}  // namespace longhaul::kernels::cpu
