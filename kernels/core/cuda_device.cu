// Devices, memory and streams.
#include <glog/logging.h>

#include "kernels/core/cuda_memory.h"
#include "kernels/core/cuda_queue.cuh"
#include "kernels/core/cuda_versions.h"
#include "kernels/core/launch.cuh"

namespace longhaul::core {

int cuda_device_count() noexcept {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

std::string cuda_device_name(Device device) {
  cudaDeviceProp properties{};
  const cudaError_t status = cudaGetDeviceProperties(&properties, device.index);
  if (status != cudaSuccess) throw Error(cudaGetErrorString(status));
  return properties.name;
}

std::string cuda_device_place(Device device) {
  char place[32] = {};
  const cudaError_t status = cudaDeviceGetPCIBusId(place, sizeof(place), device.index);
  if (status != cudaSuccess) throw Error(cudaGetErrorString(status));
  return place;
}

std::string cuda_versions() {
  const auto text = [](int version) {
    return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
  };
  int driver = 0, runtime = 0;
  MUST(cudaDriverGetVersion(&driver));
  MUST(cudaRuntimeGetVersion(&runtime));
  return "driver " + text(driver) + ", runtime " + text(runtime);
}

bool cuda_available() noexcept { return cuda_device_count() > 0; }

const char* cuda_unavailable_reason() noexcept {
  int driver = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
    return "this machine has no NVIDIA driver";
  }
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) return cudaGetErrorString(status);
  return count > 0 ? "" : "the NVIDIA driver shows no device (CUDA_VISIBLE_DEVICES?)";
}

CudaMemory cuda_memory(Device device) {
  MUST(cudaSetDevice(device.index));
  size_t free = 0, total = 0;
  MUST(cudaMemGetInfo(&free, &total));
  return {.free = static_cast<int64_t>(free), .total = static_cast<int64_t>(total)};
}

int64_t cuda_shared_bytes(Device device) {
  int bytes = 0;
  MUST(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device.index));
  return bytes;
}

void* cuda_allocate(Device device, int64_t bytes) {
  MUST(cudaSetDevice(device.index));
  void* block = nullptr;
  const cudaError_t status = cudaMalloc(&block, static_cast<size_t>(bytes));
  if (status == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();  // it is not to be found by the next launch
    return nullptr;
  }
  MUST(status);
  return block;
}

void cuda_free(Device device, void* block) noexcept {
  (void)cudaSetDevice(device.index);
  (void)cudaFree(block);
}

Stream make_stream() {
  cudaStream_t stream = nullptr;
  MUST(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return Stream(stream);
}

Event make_event() {
  cudaEvent_t event = nullptr;
  MUST(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  return Event(event);
}

CudaQueue::CudaQueue(Device device) {
  MUST(cudaSetDevice(device.index));
  stream_ = make_stream();
}

CudaQueuePointer cuda_queue(Device device) { return CudaQueuePointer(new CudaQueue(device)); }
void CudaQueueDeleter::operator()(CudaQueue* queue) const noexcept { delete queue; }

cudaStream_t stream_of(Context& context) {
  CHECK(context.queue() != nullptr) << "a CUDA op on a context of " << name_of(context.device());
  return context.queue()->stream();
}

void cuda_synchronize(Device device) {
  MUST(cudaSetDevice(device.index));
  MUST(cudaDeviceSynchronize());
}
void cuda_synchronize(Context& context) { MUST(cudaStreamSynchronize(stream_of(context))); }

}  // namespace longhaul::core
