// The allocations of a computation, replayed without memory: what a plan of memory adds up.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "kernels/core/dtype.h"
#include "kernels/core/memory_pool.h"
#include "kernels/core/shape.h"

namespace longhaul::core {

/// Counts what a MemoryPool would, its rounding included.
class MemoryTally {
 public:
  /// Stands for a Tensor: counted until it is destroyed. Move-only; the tally must outlive it.
  class Block {
   public:
    Block() = default;
    Block(MemoryTally& tally, int64_t bytes) : tally_(&tally), bytes_(tally.add(bytes)) {}
    ~Block() { release(); }
    Block(Block&& other) noexcept
        : tally_(std::exchange(other.tally_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    Block& operator=(Block&& other) noexcept {
      release();
      tally_ = std::exchange(other.tally_, nullptr);
      bytes_ = std::exchange(other.bytes_, 0);
      return *this;
    }
    void release() {
      if (tally_ != nullptr) tally_->remove(std::exchange(bytes_, 0));
      tally_ = nullptr;
    }

   private:
    MemoryTally* tally_ = nullptr;
    int64_t bytes_ = 0;
  };

  Block tensor(DType dtype, const Shape& shape) {
    return Block(*this, shape.elements() * size_of(dtype));
  }
  /// Allocations that an op makes together and gives back when it returns.
  void op(const std::vector<int64_t>& workspace) {
    std::vector<Block> blocks;
    for (const int64_t bytes : workspace) blocks.emplace_back(*this, bytes);
  }

  int64_t in_use() const { return in_use_; }
  int64_t peak() const { return peak_; }
  /// What the pool has taken from the system so far: blocks of one size do not serve another.
  int64_t reserved() const {
    int64_t bytes = 0;
    for (const auto& [size, blocks] : blocks_) bytes += size * blocks.most;
    return bytes;
  }

 private:
  struct Blocks {
    int64_t in_use = 0, most = 0;
  };

  int64_t add(int64_t bytes) {
    const int64_t size = MemoryPool::size_class(bytes);
    in_use_ += size;
    peak_ = std::max(peak_, in_use_);
    Blocks& own = blocks_[size];
    own.most = std::max(own.most, ++own.in_use);
    return size;
  }
  void remove(int64_t size) {
    in_use_ -= size;
    blocks_[size].in_use -= 1;
  }

  int64_t in_use_ = 0, peak_ = 0;
  std::map<int64_t, Blocks> blocks_;  // by size class
};

}  // namespace longhaul::core
