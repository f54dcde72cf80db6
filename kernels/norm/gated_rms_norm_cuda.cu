#include "kernels/core/activations.cuh"
#include "kernels/norm/gated_rms_norm.h"
#include "kernels/norm/norm_blocks.cuh"

namespace longhaul::kernels::cuda {
namespace {

using core::device::Pack;
using core::device::Packed;
using core::device::Shared;
using core::device::SharedMemory;

template <class T>
struct Forward {
  const T *y, *z, *weight;
  T* out;
  float* rstd;
  int64_t width, z_stride, size;  ///< size: channels of a group
  double epsilon;
};

/// Block (row, group).
template <class T, int N>
__global__ void forward_groups(Forward<T> args) {
  SharedMemory memory;
  const Shared<float> scratch = memory.take<float>(32);
  const int64_t row = blockIdx.x, first = blockIdx.y * args.size;
  const int64_t step = static_cast<int64_t>(blockDim.x) * N;
  const T* y = args.y + row * args.width + first;
  const T* z = args.z + row * args.z_stride + first;
  const auto gated = [&](int64_t i) {
    auto n = Pack<T, N>::load(y + i);
    const auto gate = Pack<T, N>::load(z + i);
    for (int k = 0; k < N; ++k) n.value[k] *= core::device::silu(gate.value[k]);
    return n;
  };
  float squares = 0;
  for (int64_t i = threadIdx.x * N; i < args.size; i += step) {
    const auto n = gated(i);
    for (int k = 0; k < N; ++k) squares += n.value[k] * n.value[k];
  }
  squares = core::device::block_sum(squares, scratch);
  const auto mean = static_cast<double>(squares) / static_cast<double>(args.size);
  const auto rstd = static_cast<float>(1 / sqrt(mean + args.epsilon));
  if (threadIdx.x == 0) args.rstd[row * gridDim.y + blockIdx.y] = rstd;
  for (int64_t i = threadIdx.x * N; i < args.size; i += step) {
    auto n = gated(i);
    const auto weight = Pack<T, N>::load(args.weight + first + i);
    for (int k = 0; k < N; ++k) n.value[k] *= rstd * weight.value[k];
    n.store(args.out + row * args.width + first + i);
  }
}

template <class T>
struct Backward {
  const T *y, *z, *weight, *dout;
  const float* rstd;
  T *dy, *dz;
  float* parts;  ///< [blocks, width], of dweight
  int64_t width, z_stride, dz_stride, size;
  core::DeviceRowBlocks blocks;
};

/// With n = y ⊙ silu(z), n̂ = rstd n, v = weight ⊙ dout: dn = rstd (v − n̂ mean(n̂ ⊙ v)).
template <class T, int N>
struct PackGradients {
  Pack<T, N> dy, dz;
  Pack<float, N> dweight;

  /// mean: rstd² mean(n̂ ⊙ v).
  __device__ PackGradients(const Pack<T, N>& y, const Pack<T, N>& z, const Pack<T, N>& dout,
                           const Pack<T, N>& weight, float rstd, float mean) {
    for (int k = 0; k < N; ++k) {
      const float s = core::device::sigmoid(z.value[k]), silu = z.value[k] * s;
      const float n = y.value[k] * silu, scaled = dout.value[k] * rstd;
      const float dn = fmaf(weight.value[k], scaled, -n * mean);
      dy.value[k] = dn * silu;
      dz.value[k] = dn * y.value[k] * core::device::silu_derivative(z.value[k], s);
      dweight.value[k] = n * scaled;
    }
  }
};

/// Block (block of rows, group).
template <class T, int N>
__global__ void __launch_bounds__(kMostNormThreads) backward_groups(Backward<T> args) {
  SharedMemory memory;
  const Shared<float> scratch = memory.take<float>(32);
  const Panels panels{static_cast<int>(args.size / N)};
  ColumnSums<N> dweight(memory, panels.packs);
  for (int p = 0; p < panels.packs; p += panels.width()) {
    panels.each(p, [&](int, int pack) { dweight.clear(pack); });
  }
  const int64_t first = blockIdx.y * args.size;
  const T* weight = args.weight + first;
  for (int64_t row = args.blocks.begin(blockIdx.x); row < args.blocks.end(blockIdx.x); ++row) {
    const T *y_row = args.y + row * args.width + first,
            *z_row = args.z + row * args.z_stride + first;
    const T* dout_row = args.dout + row * args.width + first;
    T *dy_row = args.dy + row * args.width + first,
      *dz_row = args.dz + row * args.dz_stride + first;
    const float rstd = args.rstd[row * gridDim.y + blockIdx.y];
    Packed<T, N> y[kHeldPacks], z[kHeldPacks], dout[kHeldPacks];
    const auto load = [&](int p) {
      panels.each(p, [&](int h, int pack) {
        y[h] = Packed<T, N>::load(y_row + pack * N);
        z[h] = Packed<T, N>::load(z_row + pack * N);
        dout[h] = Packed<T, N>::load(dout_row + pack * N);
      });
    };
    float product = 0;
    for (int p = 0; p < panels.packs; p += panels.width()) {
      load(p);
      panels.each(p, [&](int h, int pack) {
        const auto value = y[h].values(), gate = z[h].values(), upstream = dout[h].values();
        const auto scale = Pack<T, N>::load(weight + pack * N);
        for (int k = 0; k < N; ++k) {
          const float n = value.value[k] * core::device::silu(gate.value[k]);
          product = fmaf(n, scale.value[k] * upstream.value[k], product);
        }
      });
    }
    product = core::device::block_sum(product, scratch);
    const float mean = product * rstd * rstd * rstd / static_cast<float>(args.size);
    for (int p = 0; p < panels.packs; p += panels.width()) {
      if (!panels.held()) load(p);
      panels.each(p, [&](int h, int pack) {
        const auto value = y[h].values(), gate = z[h].values(), upstream = dout[h].values();
        const auto scale = Pack<T, N>::load(weight + pack * N);
        const PackGradients<T, N> gradients(value, gate, upstream, scale, rstd, mean);
        gradients.dy.store(dy_row + pack * N);
        gradients.dz.store(dz_row + pack * N);
        dweight.add(pack, gradients.dweight);
      });
    }
  }
  float* part = args.parts + static_cast<int64_t>(blockIdx.x) * args.width + first;
  for (int p = 0; p < panels.packs; p += panels.width()) {
    panels.each(p, [&](int, int pack) { dweight.store(pack, part); });
  }
}

/// Packs must not cross the border of a group.
bool is_whole(int64_t size, int pack) { return size % pack == 0; }

}  // namespace

void gated_rms_norm_forward(core::Context& context, const GatedRmsNormForward& args) {
  const int64_t rows = args.y.extent(0), width = args.y.extent(1), groups = args.rstd.extent(1);
  const int64_t size = width / groups;
  core::dispatch_device("gated_rms_norm_forward", args.y.dtype(), [&]<class T>(T) {
    const Forward<T> f{.y = args.y.data<T>(),
                       .z = args.z.data<T>(),
                       .weight = args.weight.data<T>(),
                       .out = args.out.data<T>(),
                       .rstd = args.rstd.data<float>(),
                       .width = width,
                       .z_stride = args.z.stride(0),
                       .size = size,
                       .epsilon = args.epsilon};
    constexpr int kPack = core::device::kFull<T>;
    const bool packed =
        is_whole(size, kPack) && core::all_aligned(args.y, args.z, args.weight, args.out);
    core::launch(context,
                 {.blocks = rows,
                  .blocks_y = groups,
                  .threads = threads_for(packed ? size / kPack : size),
                  .shared_bytes = kScratch},
                 packed ? forward_groups<T, kPack> : forward_groups<T, 1>, f);
  });
}

void gated_rms_norm_backward(core::Context& context, const GatedRmsNormBackward& args) {
  const int64_t rows = args.y.extent(0), width = args.y.extent(1), groups = args.rstd.extent(1);
  if (rows == 0) return;
  const int64_t size = width / groups;
  const core::DeviceRowBlocks blocks(rows);
  const core::Tensor parts(context, core::DType::kF32, {blocks.count, width});
  core::dispatch_device("gated_rms_norm_backward", args.y.dtype(), [&]<class T>(T) {
    const Backward<T> b{.y = args.y.data<T>(),
                        .z = args.z.data<T>(),
                        .weight = args.weight.data<T>(),
                        .dout = args.dout.data<T>(),
                        .rstd = args.rstd.data<float>(),
                        .dy = args.dy.data<T>(),
                        .dz = args.dz.data<T>(),
                        .parts = parts.data<float>(),
                        .width = width,
                        .z_stride = args.z.stride(0),
                        .dz_stride = args.dz.stride(0),
                        .size = size,
                        .blocks = blocks};
    constexpr int kPack = core::device::kFull<T>;
    const bool packed = is_whole(size, kPack) &&
                        core::all_aligned(args.y, args.z, args.weight, args.dout, args.dy, args.dz);
    core::launch(context,
                 {.blocks = blocks.count,
                  .blocks_y = groups,
                  .threads = norm_threads(packed ? size / kPack : size),
                  .shared_bytes = norm_shared_bytes(size)},
                 packed ? backward_groups<T, kPack> : backward_groups<T, 1>, b);
  });
  core::add_parts(context, parts, args.dweight);
}

}  // namespace longhaul::kernels::cuda
