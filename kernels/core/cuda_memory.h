// The few CUDA calls that core needs; no_cuda.cpp gives the bodies of a build without CUDA.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "kernels/core/device.h"

namespace longhaul::core {

class Context;
class TensorView;

/// True if this build has CUDA and the machine has a device.
bool cuda_available() noexcept;
/// Why `device: cuda` cannot work here, in a few words; empty if it can.
const char* cuda_unavailable_reason() noexcept;
/// Devices this process sees.
int cuda_device_count() noexcept;

/// As the driver calls it ("NVIDIA H200").
std::string cuda_device_name(Device device);
/// Its place on the bus ("0000:18:00.0"): one a card of a machine, however processes number them.
std::string cuda_device_place(Device device);

/// The stream that the ops of a context run on (cudaStream_t); null on the CPU.
void* cuda_stream(Context& context) noexcept;

/// Free and all memory of a device, in bytes.
struct CudaMemory {
  int64_t free = 0, total = 0;
};
CudaMemory cuda_memory(Device device);
/// Bytes of shared memory that a block of threads can have.
int64_t cuda_shared_bytes(Device device);

/// Null when the device has no more memory.
void* cuda_allocate(Device device, int64_t bytes);
void cuda_free(Device device, void* block) noexcept;

/// The stream and the library handles of a context (cuda_queue.cuh).
class CudaQueue;
struct CudaQueueDeleter {
  void operator()(CudaQueue* queue) const noexcept;
};
using CudaQueuePointer = std::unique_ptr<CudaQueue, CudaQueueDeleter>;
CudaQueuePointer cuda_queue(Device device);

/// Between views of equal shape and dtype, of which at least one is on the context's device. What
/// comes from or goes to the host is there when the call returns.
void cuda_copy(Context& context, const TensorView& source, const TensorView& target);
void cuda_set_zero(Context& context, const TensorView& target);
/// Returns when everything that was started on the context is done.
void cuda_synchronize(Context& context);
/// The same for all contexts of this process on the device.
void cuda_synchronize(Device device);

}  // namespace longhaul::core
