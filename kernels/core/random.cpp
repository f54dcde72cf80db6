#include "kernels/core/random.h"

#include <cmath>
#include <numbers>

namespace longhaul::core {

std::array<uint32_t, 4> philox(const RandomKey& key, uint64_t index) {
  constexpr uint32_t kMultiplier0 = 0xD2511F53u, kMultiplier1 = 0xCD9E8D57u;
  constexpr uint32_t kWeyl0 = 0x9E3779B9u, kWeyl1 = 0xBB67AE85u;
  // Counter: 64 bits of index, 32 of step, 32 of purpose with the step's upper bits folded in.
  std::array<uint32_t, 4> c = {static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32),
                               static_cast<uint32_t>(key.step),
                               static_cast<uint32_t>(key.purpose) ^
                                   (static_cast<uint32_t>(key.step >> 32) << 8)};
  uint32_t k0 = static_cast<uint32_t>(key.seed);
  uint32_t k1 = static_cast<uint32_t>(key.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{kMultiplier0} * c[0];
    const uint64_t p1 = uint64_t{kMultiplier1} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(p0)};
    k0 += kWeyl0;
    k1 += kWeyl1;
  }
  return c;
}

namespace {
uint64_t bits64(const std::array<uint32_t, 4>& r, int pair) {
  return (uint64_t{r[2 * pair + 1]} << 32) | r[2 * pair];
}
double to_unit(uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1.0p-53; }
}  // namespace

double uniform(const RandomKey& key, uint64_t index) { return to_unit(bits64(philox(key, index), 0)); }

uint64_t uniform_below(const RandomKey& key, uint64_t index, uint64_t bound) {
  const uint64_t bits = bits64(philox(key, index), 0);
  return static_cast<uint64_t>((static_cast<unsigned __int128>(bits) * bound) >> 64);
}

double normal(const RandomKey& key, uint64_t index) {
  const auto r = philox(key, index);
  const double u = 1.0 - to_unit(bits64(r, 0));  // (0, 1]
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * to_unit(bits64(r, 1)));
}

}  // namespace longhaul::core
