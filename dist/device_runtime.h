// The few calls to a device's runtime that the NCCL communicator needs: streams, events, copies.
// CUDA behind it in programs; host threads in the tests of the communicator's own logic.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/core/device.h"

namespace longhaul::dist {

/// Failures throw core::Error. Handles are the runtime's own (cudaStream_t, cudaEvent_t).
class DeviceRuntime {
 public:
  using Stream = void*;
  using Event = void*;

  virtual ~DeviceRuntime() = default;
  /// Makes the device current on the calling thread.
  virtual void use_on_this_thread() = 0;
  virtual Stream make_stream() = 0;
  virtual void destroy(Stream stream) noexcept = 0;
  virtual Event make_event() = 0;
  virtual void destroy_event(Event event) noexcept = 0;
  virtual void record(Event event, Stream stream) = 0;
  /// What is put on the stream from now on runs after what was recorded.
  virtual void wait(Stream stream, Event event) = 0;
  virtual bool is_complete(Event event) = 0;
  /// On the stream, between memory of the host and of the device in any direction.
  virtual void copy(void* to, const void* from, int64_t bytes, Stream stream) = 0;
  /// Blocks the host until the stream is empty.
  virtual void synchronize(Stream stream) = 0;
};

std::unique_ptr<DeviceRuntime> cuda_device_runtime(core::Device device);

}  // namespace longhaul::dist
