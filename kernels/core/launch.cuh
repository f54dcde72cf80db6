// Starting kernels, and what becomes of errors.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "kernels/core/context.h"
#include "kernels/core/error.h"

/// Throws core::Error with the call, its place and CUDA's words unless `call` succeeds.
#define MUST(call) ::longhaul::core::require_success((call), #call, __FILE__, __LINE__)

namespace longhaul::core {

inline void require_success(cudaError_t status, const char* call, const char* file, int line) {
  if (status == cudaSuccess) return;
  throw Error(message("CUDA: ", cudaGetErrorString(status), " (", static_cast<int>(status), ") in ",
                      call, " at ", file, ":", line));
}

/// The stream that all ops of a context run on, in order.
cudaStream_t stream_of(Context& context);

/// Blocks of a grid that any device takes along x, and along y and z.
constexpr int64_t kMostBlocks = (int64_t{1} << 31) - 1, kMostBlocksAcross = 65535;

struct LaunchShape {
  int64_t blocks = 1;  ///< grid.x, for what grows with batch, heads or length
  int64_t blocks_y = 1, blocks_z = 1;
  int threads = 256;
  int64_t shared_bytes = 0;
};

/// Starts `kernel(arguments…)` on the context's stream; no blocks, no launch.
template <class... Parameters, class... Arguments>
void launch(Context& context, const LaunchShape& shape, void (*kernel)(Parameters...),
            Arguments&&... arguments) {
  if (shape.blocks == 0 || shape.blocks_y == 0 || shape.blocks_z == 0) return;
  if (shape.blocks > kMostBlocks || std::max(shape.blocks_y, shape.blocks_z) > kMostBlocksAcross) {
    throw Error(message("CUDA: a grid of ", shape.blocks, " x ", shape.blocks_y, " x ",
                        shape.blocks_z, " blocks is more than a device takes (", kMostBlocks, " x ",
                        kMostBlocksAcross, " x ", kMostBlocksAcross, ")"));
  }
  constexpr int64_t kWithoutAsking = 48 << 10;
  if (shape.shared_bytes > kWithoutAsking) {
    const cudaError_t status = cudaFuncSetAttribute(
        kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shape.shared_bytes));
    if (status == cudaErrorInvalidValue) {
      throw Error(message("CUDA: ", shape.shared_bytes, " bytes of shared memory for a block of ",
                          "threads are needed, more than this device has; devices of compute ",
                          "capability 8.0, 9.0 and 10.0 have that, others may in bf16"));
    }
    require_success(status, "cudaFuncSetAttribute", __FILE__, __LINE__);
  }
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(shape.blocks), static_cast<unsigned>(shape.blocks_y),
                        static_cast<unsigned>(shape.blocks_z));
  config.blockDim = dim3(static_cast<unsigned>(shape.threads));
  config.dynamicSmemBytes = static_cast<size_t>(shape.shared_bytes);
  config.stream = stream_of(context);
  MUST(cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...));
}

inline int64_t ceil_div(int64_t count, int64_t size) { return (count + size - 1) / size; }

}  // namespace longhaul::core
