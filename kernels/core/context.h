// What every op needs to run: the device, its memory, its threads. First argument everywhere.
#pragma once

#include "kernels/core/cuda_memory.h"
#include "kernels/core/device.h"
#include "kernels/core/memory_pool.h"

namespace longhaul::core {

/// One per rank. Not thread-safe: one thread drives a context at a time; the ops parallelise
/// inside. Tensors must not outlive the context they were made with.
class Context {
 public:
  /// `threads`: OpenMP threads of the CPU ops; 0 takes what the process may use.
  explicit Context(Device device = {}, int threads = 0);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  Device device() const { return pool_.device(); }
  int threads() const { return threads_; }
  MemoryPool& pool() { return pool_; }
  /// Stream and handles; null on the CPU.
  CudaQueue* queue() const { return queue_.get(); }

 private:
  MemoryPool pool_;
  CudaQueuePointer queue_;
  int threads_;
};

/// Returns when everything that was started on the context is done; at once on the CPU.
void synchronize(Context& context);

/// Processors this process may run on (its affinity mask), no more than its control group's quota
/// (kernels/core/cpu_quota.h).
int available_threads();

}  // namespace longhaul::core
