// Backward of the convolution. With p_t = dy_t ⊙ silu'(pre_t), pre recomputed:
//   dweight[:, j] = Σ_t p_t ⊙ x_{t−K+1+j};  dbias = Σ_t p_t;  dx_s = Σ_j weight[:, j] ⊙
//   p_{s+K−1−j},
// where for s < 0 the same sum is the gradient to the initial state.
#include <cmath>

#include "kernels/conv1d/causal_conv1d.h"
#include "kernels/conv1d/conv_rows.h"
#include "kernels/core/dispatch.h"
#include "kernels/core/row_blocks.h"
#include "kernels/core/vector_math.h"

namespace longhaul::kernels::cpu {
namespace {

constexpr int64_t kRowsAtOnce = 32, kChannelsAtOnce = 256;

/// p of R adjacent rows into p[i · p_stride + c − channels.begin]; sums [K + 1][channels] +=
/// dweight, dbias of these rows if `sums` is not null.
template <class T, int K, int R, bool kSum>
[[gnu::flatten]] void pre_gradient(const T* const* rows, const T* const* dys, const Taps<T>& taps,
                                   Channels channels, T* p, T* sums) {
  const T *row[R + K - 1], *dy[R], *tap[K];
  for (int i = 0; i < R + K - 1; ++i) row[i] = rows[i];
  for (int i = 0; i < R; ++i) dy[i] = dys[i];
  for (int j = 0; j < K; ++j) tap[j] = taps.tap(j);
  const T* bias = taps.bias.data();
  const int64_t all = taps.channels, begin = channels.begin;
  auto channel = [&](int64_t c) {
    T x[R + K - 1], pre[R];
    unrolled<R + K - 1>([&](auto i) { x[i] = row[i][c]; });
    unrolled<R>([&](auto i) { pre[i] = bias[c]; });
    unrolled<K>([&](auto j) {
      const T weight = tap[j][c];
      unrolled<R>([&](auto i) { pre[i] = std::fma(weight, x[i + j], pre[i]); });
    });
    unrolled<R>([&](auto i) {
      pre[i] = dy[i][c] * core::silu_derivative(pre[i], core::sigmoid(pre[i]));
      p[i * kChannelsAtOnce + c - begin] = pre[i];
    });
    if constexpr (kSum) {
      T bias_sum = sums[K * all + c];
      unrolled<R>([&](auto i) { bias_sum += pre[i]; });
      sums[K * all + c] = bias_sum;
      unrolled<K>([&](auto j) {
        T sum = sums[j * all + c];
        unrolled<R>([&](auto i) { sum = std::fma(pre[i], x[i + j], sum); });
        sums[j * all + c] = sum;
      });
    }
  };
#pragma omp simd
  for (int64_t c = begin; c < channels.end; ++c) channel(c);
}

/// dx of one row: p points at p_s, whose followers lie below it; `dfinal` is added unless null.
template <class T, int K>
[[gnu::flatten]] void input_gradient(const T* p, const Taps<T>& taps, Channels channels,
                                     const T* dfinal, T* dx) {
  const T* tap[K];
  for (int j = 0; j < K; ++j) tap[j] = taps.tap(j);
  const int64_t begin = channels.begin;
  auto channel = [&](int64_t c) {
    T sum = 0;
    unrolled<K>([&](auto j) {
      sum = std::fma(tap[j][c], p[(K - 1 - j) * kChannelsAtOnce + c - begin], sum);
    });
    dx[c] = sum;
  };
#pragma omp simd
  for (int64_t c = begin; c < channels.end; ++c) channel(c);
  if (dfinal == nullptr) return;
#pragma omp simd
  for (int64_t c = begin; c < channels.end; ++c) dx[c] += dfinal[c];
}

template <class T, int K>
class Backward {
 public:
  Backward(core::Context& context, const CausalConv1dBackward& args)
      : context_(context),
        args_(args),
        length_(args.x.extent(1)),
        channels_(args.x.extent(2)),
        x_(args.x, args.initial_state),
        taps_(args.weight, args.bias) {}

  void run() {
    if (length_ == 0) return pass_state_through();
    const core::Tensor sums =
        core::Tensor::zeros(context_, core::kDTypeOf<T>, {(K + 1) * channels_});
    core::sum_over_rows(context_, args_.x.extent(0) * length_, (K + 1) * channels_, sums.data<T>(),
                        [&](int64_t begin, int64_t end, T* own) { rows(begin, end, own); });
    const T* sum = sums.data<T>();
    for (int64_t c = 0; c < channels_; ++c) {
      for (int j = 0; j < K; ++j) args_.dweight.data<T>()[c * K + j] += sum[j * channels_ + c];
      if (args_.dbias) args_.dbias.data<T>()[c] += sum[K * channels_ + c];
    }
  }

 private:
  /// Rows [begin, end) of all sequences laid end to end.
  void rows(int64_t begin, int64_t end, T* sums) const {
    std::vector<T> p(static_cast<size_t>((kRowsAtOnce + K - 1) * kChannelsAtOnce));
    while (begin < end) {
      const int64_t b = begin / length_, t = begin % length_;
      const int64_t stop = std::min(length_, t + end - begin);
      for (int64_t first = 0; first < channels_; first += kChannelsAtOnce) {
        segment(b, t, stop, {first, std::min(channels_, first + kChannelsAtOnce)}, p.data(), sums);
      }
      begin += stop - t;
    }
  }

  /// dx of rows [begin, end) of sequence b, and of the state if they are the first. Takes p of the
  /// K−1 rows after `end` too; `p` holds that of K−1 rows before the tile, then of the tile.
  void segment(int64_t b, int64_t begin, int64_t end, Channels channels, T* p, T* sums) const {
    constexpr int64_t kBefore = (K - 1) * kChannelsAtOnce;
    std::fill(p, p + kBefore, T(0));
    const int64_t from = begin == 0 && args_.dinitial_state ? -(K - 1) : begin;
    const int64_t to = end + K - 1;
    for (int64_t t = begin; t < to; t += kRowsAtOnce) {
      const int64_t stop = std::min(to, t + kRowsAtOnce);
      T* tile = p + kBefore;
      const int64_t summed = std::clamp(end, t, stop), inside = std::clamp(length_, summed, stop);
      fill<true>(b, t, summed, channels, tile, sums);
      fill<false>(b, summed, inside, channels, tile + (summed - t) * kChannelsAtOnce, nullptr);
      std::fill(tile + (inside - t) * kChannelsAtOnce, tile + (stop - t) * kChannelsAtOnce, T(0));
      for (int64_t s = std::max(from, t - (K - 1)); s < stop - (K - 1); ++s) {
        input_gradient<T, K>(tile + (s - t) * kChannelsAtOnce, taps_, channels,
                             final_gradient(b, s), target(b, s));
      }
      const T* last = tile + (stop - t) * kChannelsAtOnce - kBefore;
      std::copy(last, last + kBefore, p);
    }
  }

  template <bool kSum>
  void fill(int64_t b, int64_t begin, int64_t end, Channels channels, T* p, T* sums) const {
    constexpr int R = kTogether<T, K>;
    const T *rows[R + K - 1], *dys[R];
    auto gather = [&](int64_t t, int count) {
      for (int i = 0; i < count + K - 1; ++i) rows[i] = x_.at(b, t + i - (K - 1));
      for (int i = 0; i < count; ++i) {
        dys[i] = args_.dy.data<T>() + b * args_.dy.stride(0) + (t + i) * args_.dy.stride(1);
      }
    };
    int64_t t = begin;
    for (; t + R <= end; t += R) {
      gather(t, R);
      pre_gradient<T, K, R, kSum>(rows, dys, taps_, channels, p + (t - begin) * kChannelsAtOnce,
                                  sums);
    }
    for (; t < end; ++t) {
      gather(t, 1);
      pre_gradient<T, K, 1, kSum>(rows, dys, taps_, channels, p + (t - begin) * kChannelsAtOnce,
                                  sums);
    }
  }

  /// Where the gradient of row s (state rows are negative) goes.
  T* target(int64_t b, int64_t s) const {
    const core::TensorView& view = s >= 0 ? args_.dx : args_.dinitial_state;
    return view.data<T>() + b * view.stride(0) + (s >= 0 ? s : s + K - 1) * view.stride(1);
  }

  /// What row s gets because it is in the final state; null if it is not, or nothing comes from
  /// there.
  const T* final_gradient(int64_t b, int64_t s) const {
    const int64_t i = s - (length_ - (K - 1));
    if (!args_.dfinal_state || i < 0) return nullptr;
    return args_.dfinal_state.data<T>() + b * args_.dfinal_state.stride(0) +
           i * args_.dfinal_state.stride(1);
  }

  /// Of an empty segment the final state is the initial state.
  void pass_state_through() const {
    if (!args_.dinitial_state) return;
    for (int64_t b = 0; b < args_.x.extent(0); ++b) {
      for (int64_t s = -(K - 1); s < 0; ++s) {
        const T* from = final_gradient(b, s);
        T* to = target(b, s);
        for (int64_t c = 0; c < channels_; ++c) to[c] = from ? from[c] : T(0);
      }
    }
  }

  core::Context& context_;
  const CausalConv1dBackward& args_;
  int64_t length_, channels_;
  Rows<T, K> x_;
  Taps<T> taps_;
};

}  // namespace

void causal_conv1d_backward(core::Context& context, const CausalConv1dBackward& args) {
  core::dispatch_float("causal_conv1d_backward", args.x.dtype(), [&]<class T>(T) {
    dispatch_taps(args.weight.extent(1), [&]<int K>(std::integral_constant<int, K>) {
      Backward<T, K>(context, args).run();
    });
  });
}

}  // namespace longhaul::kernels::cpu
