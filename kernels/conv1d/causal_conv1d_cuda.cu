#include "kernels/conv1d/causal_conv1d.h"
#include "kernels/conv1d/conv_window.cuh"
#include "kernels/core/row_sums.cuh"

namespace longhaul::kernels::cuda {
namespace {

template <class T>
struct Forward {
  ConvInput<T> in;
  T* y;
  int64_t y_batch, y_row;
};

/// Block (channels, rows, sequence): a thread walks down its channels with the window in registers.
template <class T, int N, int K>
__global__ void forward_rows(Forward<T> f) {
  const int64_t channel = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * N;
  if (channel >= f.in.channels) return;
  const int64_t b = blockIdx.z, begin = blockIdx.y * kConvRows;
  const int64_t end = min(f.in.length, begin + kConvRows);
  ConvWindow<T, N, K> window(f.in, b, begin, channel);
  T* y = f.y + b * f.y_batch + begin * f.y_row + channel;
  for (int64_t first = begin; first < end; first += kConvBatch) {
    core::device::Pack<T, N> rows[kConvBatch];
#pragma unroll
    for (int u = 0; u < kConvBatch; ++u) rows[u] = f.in.template row<N>(b, first + u, channel);
#pragma unroll
    for (int u = 0; u < kConvBatch; ++u) {
      if (first + u >= end) return;
      window.push(rows[u]);
      core::device::Pack<T, N> out;
      for (int k = 0; k < N; ++k) {
        out.value[k] = core::device::silu(window.before_activation(k));
      }
      out.store(y);
      y += f.y_row;
    }
  }
}

/// The last taps − 1 rows of state ++ x.
template <class T>
struct KeepRows {
  ConvInput<T> in;
  float* state;
  int64_t batch_stride, row_stride;
  __device__ void operator()(int64_t i) const {
    const int64_t channel = i % in.channels, row = i / in.channels % (in.taps - 1);
    const int64_t b = i / in.channels / (in.taps - 1);
    const auto value = in.template row<1>(b, in.length - (in.taps - 1) + row, channel);
    state[b * batch_stride + row * row_stride + channel] = value.value[0];
  }
};

template <class T>
struct Backward {
  ConvInput<T> in;
  const T* dy;
  int64_t dy_batch, dy_row;
  const float* dfinal;  ///< or null
  int64_t dfinal_batch, dfinal_row;
  T* dx;
  int64_t dx_batch, dx_row;
  float* dinitial;  ///< or null
  int64_t dinitial_batch, dinitial_row;
  float* parts;  ///< [sequences · tiles, taps + 1, channels]: dweight, dbias
  int64_t tiles;

  /// Gradient of row s, whose sum over the taps is `row`; state rows are negative.
  template <int N>
  __device__ void store(int64_t b, int64_t s, int64_t channel, core::device::Pack<T, N> row) const {
    const int64_t kept = s - (in.length - (in.taps - 1));
    if (dfinal != nullptr && kept >= 0) {
      for (int k = 0; k < N; ++k) {
        row.value[k] += dfinal[b * dfinal_batch + kept * dfinal_row + channel + k];
      }
    }
    if (s >= 0) {
      row.store(dx + b * dx_batch + s * dx_row + channel);
    } else if (dinitial != nullptr && s + in.taps - 1 >= 0) {
      float* to = dinitial + b * dinitial_batch + (s + in.taps - 1) * dinitial_row + channel;
      for (int k = 0; k < N; ++k) to[k] = row.value[k];
    }
  }
};

/// Rows [begin, end) of one sequence; takes p of the rows behind them too, and the rows of the
/// state if these are the first. p_t = dy_t ⊙ silu'(pre_t); dx_s = Σ_j weight_j ⊙ p_{s + taps−1−j}.
template <class T, int N, int K>
__global__ void __launch_bounds__(kConvThreads, K == 4 ? 5 : 2) backward_rows(Backward<T> f) {
  const int64_t channel = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * N;
  if (channel >= f.in.channels) return;
  const int64_t b = blockIdx.z, begin = blockIdx.y * kConvRows;
  const int64_t end = min(f.in.length, begin + kConvRows);
  const int64_t first = begin == 0 ? -(K - 1) : begin;
  ConvWindow<T, N, K> window(f.in, b, begin, channel);
  float p[K][N] = {}, dweight[K][N] = {}, dbias[N] = {};
  for (int64_t from = begin; from < end + K - 1; from += kConvBackwardBatch) {
    core::device::Pack<T, N> x[kConvBackwardBatch], dy[kConvBackwardBatch];
#pragma unroll
    for (int u = 0; u < kConvBackwardBatch; ++u) {
      const int64_t t = from + u;
      x[u] = f.in.template row<N>(b, t, channel);
      dy[u] = {};
      if (t < f.in.length && t < end + K - 1) {
        dy[u] = core::device::Pack<T, N>::load(f.dy + b * f.dy_batch + t * f.dy_row + channel);
      }
    }
#pragma unroll
    for (int u = 0; u < kConvBackwardBatch; ++u) {
      const int64_t t = from + u, s = t - (K - 1);
      if (t >= end + K - 1) break;
      window.push(x[u]);
      core::device::Pack<T, N> dx;
      for (int k = 0; k < N; ++k) {
#pragma unroll
        for (int j = 0; j + 1 < K; ++j) p[j][k] = p[j + 1][k];
        const float pre = window.before_activation(k), sigmoid = core::device::sigmoid(pre);
        const float gradient =
            t < f.in.length ? dy[u].value[k] * core::device::silu_derivative(pre, sigmoid) : 0.0f;
        p[K - 1][k] = gradient;
        if (t < end) {
          dbias[k] += gradient;
#pragma unroll
          for (int j = 0; j < K; ++j)
            dweight[j][k] = fmaf(gradient, window.rows[j][k], dweight[j][k]);
        }
        float sum = 0;
#pragma unroll
        for (int j = 0; j < K; ++j) sum = fmaf(window.weight[j][k], p[K - 1 - j][k], sum);
        dx.value[k] = sum;
      }
      if (s >= first) f.template store<N>(b, s, channel, dx);
    }
  }
  float* part = f.parts + (b * f.tiles + blockIdx.y) * (f.in.taps + 1) * f.in.channels + channel;
  for (int k = 0; k < N; ++k) {
#pragma unroll
    for (int j = 0; j < K; ++j) {
      const int64_t tap = static_cast<int64_t>(j) - K + f.in.taps;
      if (tap >= 0) part[tap * f.in.channels + k] = dweight[j][k];
    }
    part[f.in.taps * f.in.channels + k] = dbias[k];
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

core::LaunchShape shape_of(int64_t channels, int pack, int64_t tiles, int64_t batch) {
  return {.blocks = core::ceil_div(channels / pack, kConvThreads),
          .blocks_y = tiles,
          .blocks_z = batch,
          .threads = kConvThreads};
}

template <class T>
Backward<T> backward_of(const CausalConv1dBackward& args) {
  Backward<T> f{.in = conv_input<T>(args),
                .dy = args.dy.data<T>(),
                .dy_batch = args.dy.stride(0),
                .dy_row = args.dy.stride(1),
                .dfinal = core::optional_pointer<float>(args.dfinal_state),
                .dx = args.dx.data<T>(),
                .dx_batch = args.dx.stride(0),
                .dx_row = args.dx.stride(1),
                .dinitial = core::optional_pointer<float>(args.dinitial_state)};
  if (args.dfinal_state) {
    f.dfinal_batch = args.dfinal_state.stride(0);
    f.dfinal_row = args.dfinal_state.stride(1);
  }
  if (args.dinitial_state) {
    f.dinitial_batch = args.dinitial_state.stride(0);
    f.dinitial_row = args.dinitial_state.stride(1);
  }
  return f;
}

}  // namespace

void causal_conv1d_forward(core::Context& context, const CausalConv1dForward& args) {
  const int64_t batch = args.x.extent(0), length = args.x.extent(1), channels = args.x.extent(2);
  const int64_t taps = args.weight.extent(1);
  core::dispatch_device("causal_conv1d_forward", args.x.dtype(), [&]<class T>(T) {
    const Forward<T> f{.in = conv_input<T>(args),
                       .y = args.y.data<T>(),
                       .y_batch = args.y.stride(0),
                       .y_row = args.y.stride(1)};
    with_window<T, core::device::kFull<T>>(
        taps,
        [&]<int N, int K>(std::integral_constant<int, N>, std::integral_constant<int, K>) {
          core::launch(context, shape_of(channels, N, core::ceil_div(length, kConvRows), batch),
                       forward_rows<T, N, K>, f);
        },
        args.x, args.y);
    if (!args.final_state || taps == 1) return;
    core::for_each(context, batch * (taps - 1) * channels,
                   KeepRows<T>{.in = f.in,
                               .state = args.final_state.data<float>(),
                               .batch_stride = args.final_state.stride(0),
                               .row_stride = args.final_state.stride(1)});
  });
}

void causal_conv1d_backward(core::Context& context, const CausalConv1dBackward& args) {
  const int64_t batch = args.x.extent(0), length = args.x.extent(1), channels = args.x.extent(2);
  const int64_t taps = args.weight.extent(1);
  const int64_t tiles = conv_tiles(length);
  const core::Tensor parts(context, core::DType::kF32, {batch * tiles, (taps + 1) * channels});
  core::dispatch_device("causal_conv1d_backward", args.x.dtype(), [&]<class T>(T) {
    Backward<T> f = backward_of<T>(args);
    f.parts = parts.data<float>();
    f.tiles = tiles;
    with_window<T, 4>(  // as many as leave the registers to the windows
        taps,
        [&]<int N, int K>(std::integral_constant<int, N>, std::integral_constant<int, K>) {
          core::launch(context, shape_of(channels, N, tiles, batch), backward_rows<T, N, K>, f);
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
