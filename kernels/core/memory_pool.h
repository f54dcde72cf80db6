// Device memory that is reused instead of returned: no system allocation inside a training step.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

#include "kernels/core/device.h"

namespace longhaul::core {

/// Caches freed blocks by size class (next power of two, or multiple of 2 MiB above 8 MiB); gives
/// them back to the system only when it has no more. Thread-safe. Of a device's memory, a released
/// block may be handed out again while work that was started earlier still uses it: right as long
/// as all users are on one stream. Must outlive every Buffer taken from it.
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
  int64_t system_allocations() const;  ///< so far; a steady state makes none
  int64_t peak_bytes() const;          ///< highest bytes_in_use since the last reset
  void reset_peak();
  int64_t reserved_bytes() const;  ///< taken from the system, whether in use or cached
  /// What an allocation of `bytes` counts for.
  static int64_t size_class(int64_t bytes);
  void free_cached() noexcept;
  int64_t system_releases() const;  ///< times that free_cached gave blocks back

 private:
  Device device_;
  mutable std::mutex mutex_;
  std::map<int64_t, std::vector<void*>> free_;
  int64_t in_use_ = 0;
  int64_t peak_ = 0;
  int64_t reserved_ = 0;
  int64_t system_allocations_ = 0;
  int64_t system_releases_ = 0;
};

}  // namespace longhaul::core
