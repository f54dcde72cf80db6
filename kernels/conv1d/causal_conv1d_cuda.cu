#include "kernels/conv1d/causal_conv1d.h"
#include "kernels/conv1d/conv_window.cuh"
#include "kernels/core/row_sums.cuh"

namespace longhaul::kernels::cuda {
namespace {

using core::device::Pack;
using core::device::Shared;
using core::device::SharedMemory;

/// Rows that a warp has, and how many of them it reads before it works on the first.
constexpr int kForwardRows = 32, kForwardBatch = 8;
constexpr int kBackwardRows = kConvRows / kConvWarps, kBackwardBatch = 4;

template <class T>
struct Forward {
  ConvInput<T> in;
  Tokens<T> y;
  Tokens<float> final_state;  ///< or absent
};

template <class T, int N, int K>
__device__ Pack<T, N> activated(const ConvWindow<T, N, K>& window) {
  Pack<T, N> y;
  for (int k = 0; k < N; ++k) y.value[k] = core::device::silu(window.before_activation(k));
  return y;
}

template <class T, int N, int K>
__global__ void forward_rows(Forward<T> f, ConvGrid grid) {
  const ConvPlace place(grid, N, kForwardRows, f.in.length);
  if (!place.exists(f.in)) return;
  const int64_t b = place.sequence, channel = place.channel;
  ConvWindow<T, N, K> window(f.in, b, place.begin, channel);
  const int64_t x_row = f.in.x.token_stride, y_row = f.y.token_stride;
  const T* x = f.in.x.at(b, place.begin) + channel;
  T* y = f.y.at(b, place.begin) + channel;
  int64_t t = place.begin;
  for (; t + kForwardBatch <= place.end; t += kForwardBatch) {
    Pack<T, N> rows[kForwardBatch];
#pragma unroll
    for (int u = 0; u < kForwardBatch; ++u, x += x_row) rows[u] = Pack<T, N>::load(x);
#pragma unroll
    for (int u = 0; u < kForwardBatch; ++u, y += y_row) {
      window.push(rows[u]);
      activated(window).store(y);
    }
  }
  for (; t < place.end; ++t, x += x_row, y += y_row) {
    window.push(Pack<T, N>::load(x));
    activated(window).store(y);
  }
  if (f.final_state.data == nullptr || place.end != f.in.length) return;
#pragma unroll
  for (int j = 1; j < K; ++j) {
    const int64_t kept = j - K + f.in.taps - 1;
    for (int k = 0; k < N; ++k) {
      if (kept >= 0) f.final_state.at(b, kept)[channel + k] = window.rows[j][k];
    }
  }
}

template <class T>
struct Backward {
  ConvInput<T> in;
  Tokens<const T> dy;
  Tokens<const float> dfinal;  ///< or absent
  Tokens<T> dx;
  Tokens<float> dinitial;  ///< or absent
  float* parts;            ///< [sequences · tiles, taps + 1, channels]: dweight, dbias

  /// Row t of dy; zeros before the first and behind the last.
  template <int N>
  __device__ Pack<T, N> dy_row_at(int64_t b, int64_t t, int64_t channel) const {
    if (t < 0 || t >= in.length) return {};
    return Pack<T, N>::load(dy.at(b, t) + channel);
  }
  /// Gradient of row s, whose sum over the taps is `row`; state rows are negative.
  template <int N>
  __device__ void store(int64_t b, int64_t s, int64_t channel, Pack<T, N> row) const {
    const int64_t kept = s - (in.length - (in.taps - 1));
    if (dfinal.data != nullptr && kept >= 0) {
      for (int k = 0; k < N; ++k) row.value[k] += dfinal.at(b, kept)[channel + k];
    }
    if (s >= 0) {
      row.store(dx.at(b, s) + channel);
    } else if (dinitial.data != nullptr && s + in.taps - 1 >= 0) {
      float* to = dinitial.at(b, s + in.taps - 1) + channel;
      for (int k = 0; k < N; ++k) to[k] = row.value[k];
    }
  }
};

/// With p_t = dy_t ⊙ silu'(pre_t): dweight_j = Σ_t p_t ⊙ x_{t−K+1+j}, dbias = Σ_t p_t and
/// dx_s = Σ_j weight_j ⊙ p_{s+K−1−j}.
template <class T, int N, int K>
struct Gradients {
  ConvWindow<T, N, K> window;
  float p[K][N] = {};  ///< of the rows of the window
  float dweight[K][N] = {}, dbias[N] = {};

  __device__ void push(const Pack<T, N>& x, const Pack<T, N>& dy) {
    window.push(x);
    for (int k = 0; k < N; ++k) {
#pragma unroll
      for (int j = 0; j + 1 < K; ++j) p[j][k] = p[j + 1][k];
      const float pre = window.before_activation(k);
      p[K - 1][k] = dy.value[k] * core::device::silu_derivative(pre, core::device::sigmoid(pre));
    }
  }
  __device__ void add_newest_row() {
    for (int k = 0; k < N; ++k) {
      dbias[k] += p[K - 1][k];
#pragma unroll
      for (int j = 0; j < K; ++j) {
        dweight[j][k] = fmaf(p[K - 1][k], window.rows[j][k], dweight[j][k]);
      }
    }
  }
  /// Of the oldest row, K − 1 before the newest.
  __device__ Pack<T, N> dx() const {
    Pack<T, N> dx = {};
    for (int k = 0; k < N; ++k) {
#pragma unroll
      for (int j = 0; j < K; ++j)
        dx.value[k] = fmaf(window.weight[j][k], p[K - 1 - j][k], dx.value[k]);
    }
    return dx;
  }
};

/// Takes the rows [begin, end) of a place, and gives dx of the rows K − 1 before them; the last
/// place of a sequence gives those at its end too.
template <class T, int N, int K>
__device__ void walk(const Backward<T>& f, const ConvPlace& place, Gradients<T, N, K>& gradients) {
  const int64_t b = place.sequence, channel = place.channel;
  Pack<T, N> x_before[K - 1], dy_before[K - 1];
#pragma unroll
  for (int j = 0; j + 1 < K; ++j) {
    const int64_t t = place.begin - (K - 1) + j;
    x_before[j] = f.in.template row<N>(b, t, channel);
    dy_before[j] = f.template dy_row_at<N>(b, t, channel);
  }
#pragma unroll
  for (int j = 0; j + 1 < K; ++j) gradients.push(x_before[j], dy_before[j]);
  int64_t t = place.begin;
  const auto take_singly = [&](int64_t until) {
    for (; t < until; ++t) {
      gradients.push(f.in.template row<N>(b, t, channel), f.template dy_row_at<N>(b, t, channel));
      gradients.add_newest_row();
      f.template store<N>(b, t - (K - 1), channel, gradients.dx());
    }
  };
  if (place.begin == 0) take_singly(min(place.end, static_cast<int64_t>(K - 1)));
  const int64_t x_row = f.in.x.token_stride, dy_row = f.dy.token_stride, dx_row = f.dx.token_stride;
  const T *x = f.in.x.at(b, t) + channel, *dy = f.dy.at(b, t) + channel;
  T* dx = f.dx.at(b, t - (K - 1)) + channel;
  for (; t + kBackwardBatch <= place.end; t += kBackwardBatch) {
    Pack<T, N> x_rows[kBackwardBatch], dy_rows[kBackwardBatch];
#pragma unroll
    for (int u = 0; u < kBackwardBatch; ++u, x += x_row, dy += dy_row) {
      x_rows[u] = Pack<T, N>::load(x);
      dy_rows[u] = Pack<T, N>::load(dy);
    }
#pragma unroll
    for (int u = 0; u < kBackwardBatch; ++u, dx += dx_row) {
      gradients.push(x_rows[u], dy_rows[u]);
      gradients.add_newest_row();
      gradients.dx().store(dx);
    }
  }
  take_singly(place.end == f.in.length ? f.in.length + K - 1 : place.end);
}

/// The warps' sums over their rows, added in order, are the block's part.
template <class T, int N, int K>
__global__ void __launch_bounds__(kConvWarps* kConvLanes, K == 4 ? 4 : 2)
    backward_rows(Backward<T> f, ConvGrid grid) {
  constexpr int kColumns = kConvLanes * N, kSums = (K + 1) * kColumns;
  SharedMemory memory;
  const Shared<float> sums = memory.take<float>(kConvWarps * kSums);
  const ConvPlace place(grid, N, kBackwardRows, f.in.length);
  const int warp = static_cast<int>(threadIdx.x) / kConvLanes;
  const int column = static_cast<int>(threadIdx.x) % kConvLanes * N;
  const Shared<float> own = sums + (warp * kSums + column);
  if (place.exists(f.in)) {
    Gradients<T, N, K> gradients{
        .window = {f.in, place.sequence, place.begin - (K - 1), place.channel}};
    walk(f, place, gradients);
    for (int k = 0; k < N; ++k) {
#pragma unroll
      for (int j = 0; j < K; ++j) own[j * kColumns + k] = gradients.dweight[j][k];
      own[K * kColumns + k] = gradients.dbias[k];
    }
  } else {
    for (int k = 0; k < N; ++k) {
      for (int j = 0; j <= K; ++j) own[j * kColumns + k] = 0;
    }
  }
  __syncthreads();
  float* part = f.parts + place.tile * (f.in.taps + 1) * f.in.channels;
  for (int i = static_cast<int>(threadIdx.x); i < kSums; i += kConvWarps * kConvLanes) {
    const int64_t tap = i / kColumns - K + f.in.taps, channel = place.first_channel + i % kColumns;
    if (tap < 0 || channel >= f.in.channels) continue;
    float sum = 0;
    for (int w = 0; w < kConvWarps; ++w) sum += sums[w * kSums + i];
    part[tap * f.in.channels + channel] = sum;
  }
}

/// Where column i of the parts belongs: dweight [channels, taps], then dbias [channels] or nowhere.
struct TapOf {
  float *dweight, *dbias;
  int64_t taps, channels;
  __device__ float* operator()(int64_t i) const {
    const int64_t tap = i / channels, channel = i % channels;
    if (tap < taps) return dweight + channel * taps + tap;
    return dbias == nullptr ? nullptr : dbias + channel;
  }
};

}  // namespace

void causal_conv1d_forward(core::Context& context, const CausalConv1dForward& args) {
  core::dispatch_device("causal_conv1d_forward", args.x.dtype(), [&]<class T>(T) {
    const Forward<T> f{.in = conv_input<T>(args),
                       .y = Tokens<T>(args.y),
                       .final_state = Tokens<float>(args.final_state)};
    with_window(
        f.in.taps,
        [&]<int N, int K>(std::integral_constant<int, N>, std::integral_constant<int, K>) {
          const ConvGrid grid(f.in.channels, f.in.length, N, kForwardRows);
          core::launch(context, conv_shape(grid, args.x.extent(0)), forward_rows<T, N, K>, f, grid);
        },
        args.x, args.y);
  });
}

void causal_conv1d_backward(core::Context& context, const CausalConv1dBackward& args) {
  const int64_t batch = args.x.extent(0), channels = args.x.extent(2);
  const int64_t taps = args.weight.extent(1), tiles = conv_tiles(args.x.extent(1));
  const core::Tensor parts(context, core::DType::kF32, {batch * tiles, (taps + 1) * channels});
  core::dispatch_device("causal_conv1d_backward", args.x.dtype(), [&]<class T>(T) {
    const Backward<T> f{.in = conv_input<T>(args),
                        .dy = Tokens<const T>(args.dy),
                        .dfinal = Tokens<const float>(args.dfinal_state),
                        .dx = Tokens<T>(args.dx),
                        .dinitial = Tokens<float>(args.dinitial_state),
                        .parts = parts.data<float>()};
    with_window(
        taps,
        [&]<int N, int K>(std::integral_constant<int, N>, std::integral_constant<int, K>) {
          const ConvGrid grid(channels, f.in.length, N, kBackwardRows);
          core::LaunchShape shape = conv_shape(grid, batch);
          shape.shared_bytes = shape.threads * (K + 1) * N * static_cast<int64_t>(sizeof(float));
          core::launch(context, shape, backward_rows<T, N, K>, f, grid);
        },
        args.x, args.dy, args.dx);
  });
  core::add_parts_to(context, parts,
                     TapOf{.dweight = args.dweight.data<float>(),
                           .dbias = core::optional_pointer<float>(args.dbias),
                           .taps = taps,
                           .channels = channels});
}

}  // namespace longhaul::kernels::cuda
