#include "kernels/core/random.h"

#include <cmath>
#include <numbers>

namespace longhaul::core {

double uniform(const RandomKey& key, uint64_t index) { return unit_of(philox(key, index), 0); }

uint64_t uniform_below(const RandomKey& key, uint64_t index, uint64_t bound) {
  const auto r = philox(key, index);
  const uint64_t bits = (uint64_t{r[1]} << 32) | r[0];
  return static_cast<uint64_t>((static_cast<unsigned __int128>(bits) * bound) >> 64);
}

double normal(const RandomKey& key, uint64_t index) {
  const auto r = philox(key, index);
  const double u = 1.0 - unit_of(r, 0);  // (0, 1]
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * unit_of(r, 1));
}

}  // namespace longhaul::core
