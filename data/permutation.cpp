#include "data/permutation.h"

#include <glog/logging.h>

#include <bit>

namespace longhaul::data {

namespace {
constexpr uint64_t kRounds = 8;
}  // namespace

Permutation::Permutation(core::RandomKey key, uint64_t size) : key_(key), size_(size) {
  CHECK(size >= 1 && size <= uint64_t{1} << 62) << size;
  half_bits_ = (static_cast<int>(std::bit_width(size - 1)) + 1) / 2;
}

uint64_t Permutation::operator()(uint64_t index) const {
  CHECK_LT(index, size_);
  const uint64_t half = uint64_t{1} << half_bits_;
  uint64_t value = index;
  do {
    uint64_t left = value >> half_bits_, right = value & (half - 1);
    for (uint64_t round = 0; round < kRounds; ++round) {
      const uint64_t mixed = left ^ core::uniform_below(key_, (round << 32) | right, half);
      left = right;
      right = mixed;
    }
    value = (left << half_bits_) | right;
  } while (value >= size_);
  return value;
}

}  // namespace longhaul::data
