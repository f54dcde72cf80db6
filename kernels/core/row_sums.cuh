// Gradients that every row adds to (weights, biases): the rows are cut into blocks by their number
// alone, each block writes its own sums, and the blocks' sums are added in order.
#pragma once

#include "kernels/core/device_row_blocks.h"
#include "kernels/core/pack.cuh"

namespace longhaul::core {

/// The cut of `rows` into device_row_blocks; also read on the device.
struct DeviceRowBlocks {
  int64_t rows, count;

  explicit DeviceRowBlocks(int64_t all) : rows(all), count(device_row_blocks(all)) {}
  __host__ __device__ int64_t begin(int64_t block) const { return rows * block / count; }
  __host__ __device__ int64_t end(int64_t block) const { return rows * (block + 1) / count; }
};

namespace device {
constexpr int kSumColumns = 32, kSumSlices = 8;

/// *target(i) += Σ_part parts[part, i]; block (kSumColumns columns). A warp adds one slice of the
/// parts, in order, and the slices are added in order.
template <class Target>
__global__ void add_parts_columns(const float* parts, int64_t count, int64_t width, Target target) {
  SharedMemory memory;
  const Shared<float> slices = memory.take<float>(kSumColumns * kSumSlices);
  const int lane = static_cast<int>(threadIdx.x) % kSumColumns,
            slice = static_cast<int>(threadIdx.x) / kSumColumns;
  const int64_t i = blockIdx.x * int64_t{kSumColumns} + lane;
  float sum = 0;
  if (i < width) {
    const int64_t end = count * (slice + 1) / kSumSlices;
#pragma unroll 8
    for (int64_t part = count * slice / kSumSlices; part < end; ++part) {
      sum += parts[part * width + i];
    }
  }
  slices[threadIdx.x] = sum;
  __syncthreads();
  if (slice != 0 || i >= width) return;
  float* to = target(i);
  if (to == nullptr) return;
  sum = *to;
  for (int other = 0; other < kSumSlices; ++other) sum += slices[other * kSumColumns + lane];
  *to = sum;
}

struct Contiguous {
  float* target;
  __device__ float* operator()(int64_t i) const { return target + i; }
};
}  // namespace device

/// *target(i) += Σ_part parts[part, i] for the columns i of parts [count, width]; where target(i)
/// is null nothing is added.
template <class Target>
void add_parts_to(Context& context, const Tensor& parts, const Target& target) {
  const int64_t count = parts.extent(0), width = parts.extent(1);
  constexpr int kThreads = device::kSumColumns * device::kSumSlices;
  launch(context,
         {.blocks = ceil_div(width, device::kSumColumns),
          .threads = kThreads,
          .shared_bytes = kThreads * static_cast<int64_t>(sizeof(float))},
         device::add_parts_columns<Target>, parts.data<float>(), count, width, target);
}

/// target [width] += Σ_part parts [count, width].
inline void add_parts(Context& context, const Tensor& parts, const TensorView& target) {
  add_parts_to(context, parts, device::Contiguous{target.data<float>()});
}

}  // namespace longhaul::core
