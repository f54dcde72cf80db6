#include <cuda_runtime_api.h>

#include "dist/device_runtime.h"
#include "dist/nccl_communicator.h"
#include "kernels/core/error.h"

namespace longhaul::dist {

namespace {

void check(cudaError_t code, const char* call) {
  if (code == cudaSuccess) return;
  cudaGetLastError();  // the error is told here, once
  throw core::Error(core::message(call, ": ", cudaGetErrorString(code)));
}

class CudaDeviceRuntime final : public DeviceRuntime {
 public:
  explicit CudaDeviceRuntime(core::Device device) : device_(device) { use_on_this_thread(); }

  void use_on_this_thread() override { check(cudaSetDevice(device_.index), "cudaSetDevice"); }

  /// Of the highest priority: a transfer that others wait for goes before the work beside it.
  Stream make_stream() override {
    int least = 0, greatest = 0;
    check(cudaDeviceGetStreamPriorityRange(&least, &greatest), "cudaDeviceGetStreamPriorityRange");
    cudaStream_t stream = nullptr;
    check(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, greatest),
          "cudaStreamCreateWithPriority");
    return stream;
  }
  void destroy(Stream stream) noexcept override { cudaStreamDestroy(of(stream)); }

  Event make_event() override {
    cudaEvent_t event = nullptr;
    check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
    return event;
  }
  void destroy_event(Event event) noexcept override {
    cudaEventDestroy(static_cast<cudaEvent_t>(event));
  }
  void record(Event event, Stream stream) override {
    check(cudaEventRecord(static_cast<cudaEvent_t>(event), of(stream)), "cudaEventRecord");
  }
  void wait(Stream stream, Event event) override {
    check(cudaStreamWaitEvent(of(stream), static_cast<cudaEvent_t>(event), 0),
          "cudaStreamWaitEvent");
  }
  bool is_complete(Event event) override {
    const cudaError_t code = cudaEventQuery(static_cast<cudaEvent_t>(event));
    if (code == cudaErrorNotReady) return false;
    check(code, "cudaEventQuery");
    return true;
  }
  void copy(void* to, const void* from, int64_t bytes, Stream stream) override {
    check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDefault, of(stream)),
          "cudaMemcpyAsync");
  }
  void synchronize(Stream stream) override {
    check(cudaStreamSynchronize(of(stream)), "cudaStreamSynchronize");
  }

 private:
  static cudaStream_t of(Stream stream) { return static_cast<cudaStream_t>(stream); }
  core::Device device_;
};

}  // namespace

std::unique_ptr<DeviceRuntime> cuda_device_runtime(core::Device device) {
  return std::make_unique<CudaDeviceRuntime>(device);
}

NcclSession::NcclSession(Communicator& bootstrap, const NcclOptions& options)
    : NcclSession(bootstrap, options, cuda_device_runtime(options.device)) {}

}  // namespace longhaul::dist
