// What a context on a CUDA device owns besides memory. Handles are RAII; nothing here is global.
#pragma once

#include <cuda_runtime.h>

#include "kernels/core/device.h"
#include "kernels/core/handle.h"
#include "kernels/core/launch.cuh"

namespace longhaul::core {

inline void destroy_stream(cudaStream_t stream) { (void)cudaStreamDestroy(stream); }
inline void destroy_event(cudaEvent_t event) { (void)cudaEventDestroy(event); }
using Stream = UniqueHandle<cudaStream_t, destroy_stream>;
using Event = UniqueHandle<cudaEvent_t, destroy_event>;

Stream make_stream();
/// Without timing: for order between streams only.
Event make_event();

/// Library handles and their workspace, made by the op family that needs them (kernels/linear).
class LibraryHandles {
 public:
  virtual ~LibraryHandles() = default;
};

class CudaQueue {
 public:
  explicit CudaQueue(Device device);
  cudaStream_t stream() const { return stream_.get(); }
  /// The object of type Handles that belongs to this queue; `make` makes it when first asked.
  template <class Handles, class Make>
  Handles& handles(const Make& make) {
    if (handles_ == nullptr) handles_ = make();
    return static_cast<Handles&>(*handles_);
  }

 private:
  Stream stream_;
  std::unique_ptr<LibraryHandles> handles_;
};

}  // namespace longhaul::core
