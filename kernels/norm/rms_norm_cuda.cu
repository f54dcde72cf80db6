#include "kernels/norm/norm_blocks.cuh"
#include "kernels/norm/rms_norm.h"

namespace longhaul::kernels::cuda {
namespace {

using core::device::Pack;
using core::device::Packed;
using core::device::Shared;
using core::device::SharedMemory;

/// R: the residual stream's type, T or fp32.
template <class T, class R>
struct Forward {
  const T* x;  ///< or null
  R* residual;
  const T* weight;
  T* y;  ///< or null: only the addition is done
  float* rstd;
  int64_t width;
  double epsilon;
};

/// One block a row.
template <class T, class R, int N>
__global__ void forward_rows(Forward<T, R> args) {
  SharedMemory memory;
  const Shared<float> scratch = memory.take<float>(32);
  const int64_t row = blockIdx.x, first = row * args.width;
  const int64_t step = static_cast<int64_t>(blockDim.x) * N;
  float squares = 0;
  for (int64_t i = threadIdx.x * N; i < args.width; i += step) {
    auto sum = Pack<R, N>::load(args.residual + first + i);
    if (args.x != nullptr) {
      const auto x = Pack<T, N>::load(args.x + first + i);
      for (int k = 0; k < N; ++k) sum.value[k] += x.value[k];
      sum.store(args.residual + first + i);
      sum = Pack<R, N>::load(args.residual + first + i);  // as rounded, which backward will see
    }
    for (int k = 0; k < N; ++k) squares += sum.value[k] * sum.value[k];
  }
  if (args.y == nullptr) return;
  squares = core::device::block_sum(squares, scratch);
  const auto mean = static_cast<double>(squares) / static_cast<double>(args.width);
  const auto rstd = static_cast<float>(1 / sqrt(mean + args.epsilon));
  if (threadIdx.x == 0) args.rstd[row] = rstd;
  for (int64_t i = threadIdx.x * N; i < args.width; i += step) {
    const auto sum = Pack<R, N>::load(args.residual + first + i);
    const auto weight = Pack<T, N>::load(args.weight + i);
    Pack<T, N> y;
    for (int k = 0; k < N; ++k) y.value[k] = sum.value[k] * (rstd * weight.value[k]);
    y.store(args.y + first + i);
  }
}

template <class T, class R>
struct Backward {
  const R* residual;
  const T *weight, *dy;
  const float* rstd;
  T* dresidual;
  float* parts;  ///< [blocks, width], of dweight
  int64_t width;
  core::DeviceRowBlocks blocks;
};

/// With x̂ = rstd x, v = weight ⊙ dy: the gradient is rstd (v − x̂ mean(x̂ ⊙ v)). One block a block of
/// rows.
template <class T, class R, int N>
__global__ void __launch_bounds__(kMostNormThreads) backward_rows(Backward<T, R> args) {
  SharedMemory memory;
  const Shared<float> scratch = memory.take<float>(32);
  const Panels panels{static_cast<int>(args.width / N)};
  ColumnSums<N> dweight(memory, panels.packs);
  for (int p = 0; p < panels.packs; p += panels.width()) {
    panels.each(p, [&](int, int pack) { dweight.clear(pack); });
  }
  for (int64_t row = args.blocks.begin(blockIdx.x); row < args.blocks.end(blockIdx.x); ++row) {
    const int64_t first = row * args.width;
    const float rstd = args.rstd[row];
    Packed<R, N> x[kHeldPacks];
    Packed<T, N> dy[kHeldPacks], before[kHeldPacks];
    const auto load = [&](int p) {
      panels.each(p, [&](int h, int pack) {
        x[h] = Packed<R, N>::load(args.residual + first + pack * N);
        dy[h] = Packed<T, N>::load(args.dy + first + pack * N);
        before[h] = Packed<T, N>::load(args.dresidual + first + pack * N);
      });
    };
    float product = 0;
    for (int p = 0; p < panels.packs; p += panels.width()) {
      load(p);
      panels.each(p, [&](int h, int pack) {
        const auto value = x[h].values();
        const auto upstream = dy[h].values();
        const auto scale = Pack<T, N>::load(args.weight + pack * N);
        for (int k = 0; k < N; ++k) {
          product = fmaf(value.value[k], scale.value[k] * upstream.value[k], product);
        }
      });
    }
    product = core::device::block_sum(product, scratch);
    const float mean = product * rstd * rstd * rstd / static_cast<float>(args.width);
    for (int p = 0; p < panels.packs; p += panels.width()) {
      if (!panels.held()) load(p);
      panels.each(p, [&](int h, int pack) {
        const auto value = x[h].values();
        const auto upstream = dy[h].values();
        const auto scale = Pack<T, N>::load(args.weight + pack * N);
        auto dresidual = before[h].values();
        Pack<float, N> dscale;
        for (int k = 0; k < N; ++k) {
          const float scaled = upstream.value[k] * rstd;
          dresidual.value[k] += fmaf(scale.value[k], scaled, -value.value[k] * mean);
          dscale.value[k] = value.value[k] * scaled;
        }
        dresidual.store(args.dresidual + first + pack * N);
        dweight.add(pack, dscale);
      });
    }
  }
  float* part = args.parts + static_cast<int64_t>(blockIdx.x) * args.width;
  for (int p = 0; p < panels.packs; p += panels.width()) {
    panels.each(p, [&](int, int pack) { dweight.store(pack, part); });
  }
}

}  // namespace

void rms_norm_forward(core::Context& context, const RmsNormForward& args) {
  const int64_t rows = args.residual.extent(0), width = args.residual.extent(1);
  const core::DType dtype = args.y ? args.y.dtype() : args.x.dtype();
  core::dispatch_wide(
      "rms_norm_forward", dtype, args.residual.dtype(), [&]<class T, class R>(T, R) {
        core::with_pack<R>(
            [&]<int N>(std::integral_constant<int, N>) {
              core::launch(
                  context,
                  {.blocks = rows, .threads = threads_for(width / N), .shared_bytes = kScratch},
                  forward_rows<T, R, N>,
                  Forward<T, R>{.x = core::optional_pointer<T>(args.x),
                                .residual = args.residual.data<R>(),
                                .weight = core::optional_pointer<T>(args.weight),
                                .y = core::optional_pointer<T>(args.y),
                                .rstd = core::optional_pointer<float>(args.rstd),
                                .width = width,
                                .epsilon = args.epsilon});
            },
            args.x, args.residual, args.weight, args.y);
      });
}

void rms_norm_backward(core::Context& context, const RmsNormBackward& args) {
  const int64_t rows = args.residual.extent(0), width = args.residual.extent(1);
  if (rows == 0) return;
  const core::DeviceRowBlocks blocks(rows);
  const core::Tensor parts(context, core::DType::kF32, {blocks.count, width});
  core::dispatch_wide("rms_norm_backward", args.dy.dtype(), args.residual.dtype(),
                      [&]<class T, class R>(T, R) {
                        core::with_pack<R>(
                            [&]<int N>(std::integral_constant<int, N>) {
                              core::launch(context,
                                           {.blocks = blocks.count,
                                            .threads = norm_threads(width / N),
                                            .shared_bytes = norm_shared_bytes(width)},
                                           backward_rows<T, R, N>,
                                           Backward<T, R>{.residual = args.residual.data<R>(),
                                                          .weight = args.weight.data<T>(),
                                                          .dy = args.dy.data<T>(),
                                                          .rstd = args.rstd.data<float>(),
                                                          .dresidual = args.dresidual.data<T>(),
                                                          .parts = parts.data<float>(),
                                                          .width = width,
                                                          .blocks = blocks});
                            },
                            args.residual, args.weight, args.dy, args.dresidual);
                      });
  core::add_parts(context, parts, args.dweight);
}

}  // namespace longhaul::kernels::cuda
