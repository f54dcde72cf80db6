// Device memory that is reused instead of returned: no system allocation inside a training step.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

#include "kernels/core/device.h"

namespace longhaul::core {

/// Caches freed blocks by size class (next power of two, or multiple of 2 MiB above 8 MiB). Thread-safe.
/// Must outlive every Buffer taken from it.
class MemoryPool {
 public:
  explicit MemoryPool(Device device) : device_(device) {}
  ~MemoryPool();
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;

  Device device() const { return device_; }
  /// 64-byte aligned, uninitialised. Throws Error naming the size when memory is exhausted.
  void* allocate(int64_t bytes);
  void release(void* block, int64_t bytes) noexcept;

  int64_t bytes_in_use() const;
  int64_t peak_bytes() const;  ///< highest bytes_in_use since the last reset
  void reset_peak();
  /// What an allocation of `bytes` counts for.
  static int64_t size_class(int64_t bytes);

 private:
  Device device_;
  mutable std::mutex mutex_;
  std::map<int64_t, std::vector<void*>> free_;
  int64_t in_use_ = 0;
  int64_t peak_ = 0;
};

}  // namespace longhaul::core
