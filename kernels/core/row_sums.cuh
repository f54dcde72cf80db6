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
struct AddParts {
  const float* parts;
  float* target;
  int64_t count, width;
  __device__ void operator()(int64_t i) const {
    float sum = target[i];
    for (int64_t part = 0; part < count; ++part) sum += parts[part * width + i];
    target[i] = sum;
  }
};
}  // namespace device

/// target [width] += Σ_part parts [count, width].
inline void add_parts(Context& context, const Tensor& parts, const TensorView& target) {
  const int64_t count = parts.extent(0), width = parts.extent(1);
  for_each(context, width,
           device::AddParts{parts.data<float>(), target.data<float>(), count, width});
}

}  // namespace longhaul::core
