#include "kernels/core/memory_pool.h"

#include <algorithm>
#include <bit>
#include <cstdlib>

#include "kernels/core/cuda_memory.h"
#include "kernels/core/error.h"

namespace longhaul::core {
namespace {

void* system_allocate(Device device, int64_t bytes) {
  return device.is_cpu() ? std::aligned_alloc(64, static_cast<size_t>(bytes))
                         : cuda_allocate(device, bytes);
}

void system_free(Device device, void* block) noexcept {
  if (device.is_cpu()) {
    std::free(block);
  } else {
    cuda_free(device, block);
  }
}

}  // namespace

MemoryPool::~MemoryPool() { free_cached(); }

void MemoryPool::free_cached() noexcept {
  ++system_releases_;
  for (auto& [size, blocks] : free_) {
    for (void* block : blocks) system_free(device_, block);
    reserved_ -= size * static_cast<int64_t>(blocks.size());
    blocks.clear();
  }
}

int64_t MemoryPool::size_class(int64_t bytes) {
  constexpr int64_t kLarge = int64_t{8} << 20;
  constexpr int64_t kStep = int64_t{2} << 20;
  if (bytes > kLarge) return (bytes + kStep - 1) / kStep * kStep;
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(bytes, 64))));
}

void* MemoryPool::allocate(int64_t bytes) {
  const int64_t size = size_class(bytes);
  std::lock_guard lock(mutex_);
  in_use_ += size;
  peak_ = std::max(peak_, in_use_);
  auto& blocks = free_[size];
  if (!blocks.empty()) {
    void* block = blocks.back();
    blocks.pop_back();
    return block;
  }
  try {
    void* block = system_allocate(device_, size);
    if (block == nullptr) {
      free_cached();  // what is cached in other sizes may be enough
      block = system_allocate(device_, size);
    }
    if (block != nullptr) {
      ++system_allocations_;
      reserved_ += size;
      return block;
    }
  } catch (...) {
    in_use_ -= size;
    throw;
  }
  in_use_ -= size;
  throw Error(message("out of memory on ", name_of(device_), ": ", bytes, " bytes asked for, ",
                      in_use_, " in use"));
}

void MemoryPool::release(void* block, int64_t bytes) noexcept {
  const int64_t size = size_class(bytes);
  std::lock_guard lock(mutex_);
  in_use_ -= size;
  free_[size].push_back(block);
}

int64_t MemoryPool::bytes_in_use() const {
  std::lock_guard lock(mutex_);
  return in_use_;
}

int64_t MemoryPool::system_allocations() const {
  std::lock_guard lock(mutex_);
  return system_allocations_;
}

int64_t MemoryPool::reserved_bytes() const {
  std::lock_guard lock(mutex_);
  return reserved_;
}

int64_t MemoryPool::system_releases() const {
  std::lock_guard lock(mutex_);
  return system_releases_;
}

int64_t MemoryPool::peak_bytes() const {
  std::lock_guard lock(mutex_);
  return peak_;
}

void MemoryPool::reset_peak() {
  std::lock_guard lock(mutex_);
  peak_ = in_use_;
}

}  // namespace longhaul::core
