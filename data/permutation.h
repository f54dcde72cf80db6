// A random order of 0 … size − 1 that is computed by index: no list in memory.
#pragma once

#include <cstdint>

#include "kernels/core/random.h"

namespace longhaul::data {

/// A Feistel network over the next even power of two, keyed by `key`, walked along its cycle until
/// it is below `size` again (Black & Rogaway, "Ciphers with arbitrary finite domains", 2002): a
/// bijection for every size, in fewer than four walks on average.
class Permutation {
 public:
  Permutation(core::RandomKey key, uint64_t size);
  uint64_t size() const { return size_; }
  uint64_t operator()(uint64_t index) const;

 private:
  core::RandomKey key_;
  uint64_t size_;
  int half_bits_ = 0;
};

}  // namespace longhaul::data
