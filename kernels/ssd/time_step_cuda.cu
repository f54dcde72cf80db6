#include "kernels/core/activations.cuh"
#include "kernels/core/row_sums.cuh"
#include "kernels/ssd/time_step.h"

namespace longhaul::kernels::cuda {
namespace {

using core::device::to_float;

template <class T>
struct Forward {
  const T* raw;
  const float* bias;
  float* dt;
  int64_t heads, raw_stride;
  float low, high;
  __device__ void operator()(int64_t i) const {
    const int64_t row = i / heads, h = i % heads;
    const float step = core::device::softplus(to_float(raw[row * raw_stride + h]) + bias[h]);
    dt[i] = fminf(fmaxf(step, low), high);
  }
};

template <class T>
struct Backward {
  const T* raw;
  const float *bias, *ddt;
  T* draw;
  float* parts;  ///< [blocks, heads], of dbias
  int64_t heads, raw_stride, draw_stride;
  float low, high;
  core::DeviceRowBlocks blocks;

  /// Item: one head in one block of rows.
  __device__ void operator()(int64_t i) const {
    const int64_t block = i / heads, h = i % heads;
    constexpr int kBatch = 8;  // rows read before the first is written
    float dbias = 0;
    const int64_t end = blocks.end(block);
    for (int64_t first = blocks.begin(block); first < end; first += kBatch) {
      float sums[kBatch], gradients[kBatch];
#pragma unroll
      for (int u = 0; u < kBatch; ++u) {
        const int64_t row = first + u;
        sums[u] = row < end ? to_float(raw[row * raw_stride + h]) + bias[h] : 0.0f;
        gradients[u] = row < end ? ddt[row * heads + h] : 0.0f;
      }
#pragma unroll
      for (int u = 0; u < kBatch; ++u) {
        if (first + u >= end) break;
        const float step = core::device::softplus(sums[u]);
        const bool clamped = step < low || step > high;
        const float gradient = clamped ? 0.0f : gradients[u] * core::device::sigmoid(sums[u]);
        draw[(first + u) * draw_stride + h] = core::device::from_float<T>(gradient);
        dbias += gradient;
      }
    }
    parts[i] = dbias;
  }
};

}  // namespace

void time_step_forward(core::Context& context, const TimeStepForward& args) {
  const int64_t rows = args.raw.extent(0), heads = args.raw.extent(1);
  core::dispatch_device("time_step_forward", args.raw.dtype(), [&]<class T>(T) {
    core::for_each(context, rows * heads,
                   Forward<T>{.raw = args.raw.data<T>(),
                              .bias = args.bias.data<float>(),
                              .dt = args.dt.data<float>(),
                              .heads = heads,
                              .raw_stride = args.raw.stride(0),
                              .low = static_cast<float>(args.low),
                              .high = static_cast<float>(args.high)});
  });
}

void time_step_backward(core::Context& context, const TimeStepBackward& args) {
  const int64_t rows = args.raw.extent(0), heads = args.raw.extent(1);
  const core::DeviceRowBlocks blocks(rows);
  const core::Tensor parts(context, core::DType::kF32, {blocks.count, heads});
  core::dispatch_device("time_step_backward", args.raw.dtype(), [&]<class T>(T) {
    core::for_each(context, blocks.count * heads,
                   Backward<T>{.raw = args.raw.data<T>(),
                               .bias = args.bias.data<float>(),
                               .ddt = args.ddt.data<float>(),
                               .draw = args.draw.data<T>(),
                               .parts = parts.data<float>(),
                               .heads = heads,
                               .raw_stride = args.raw.stride(0),
                               .draw_stride = args.draw.stride(0),
                               .low = static_cast<float>(args.low),
                               .high = static_cast<float>(args.high),
                               .blocks = blocks});
  });
  core::add_parts(context, parts, args.dbias);
}

}  // namespace longhaul::kernels::cuda
