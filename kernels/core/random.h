// Counter-based random numbers: any element of any stream without stepping through the others, so
// results do not depend on ranks, threads or resumption.
// Philox4x32-10: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

#include <array>
#include <cstdint>

namespace longhaul::core {

/// What a stream is for. Two purposes never share numbers. Values are stored in no file.
enum class RandomPurpose : uint32_t {
  kParameterInit = 1,
  kInitialState,
  kStateDropout,
  kStatePermutation,
  kSampler,
  kSyntheticTask,
  kGeneration,
  kEvaluation,
  kTest,
};

/// A stream is named by (seed, step, purpose); `index` picks the element (e.g. global sequence,
/// layer).
struct RandomKey {
  uint64_t seed = 0;
  uint64_t step = 0;
  RandomPurpose purpose = RandomPurpose::kTest;
};

/// 128 random bits for counter `index` of stream `key`. Here, because devices compute it too.
constexpr std::array<uint32_t, 4> philox(const RandomKey& key, uint64_t index) {
  constexpr uint32_t kMultiplier0 = 0xD2511F53u, kMultiplier1 = 0xCD9E8D57u;
  constexpr uint32_t kWeyl0 = 0x9E3779B9u, kWeyl1 = 0xBB67AE85u;
  // Counter: 64 bits of index, 32 of step, 32 of purpose with the step's upper bits folded in.
  std::array<uint32_t, 4> c = {
      static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32),
      static_cast<uint32_t>(key.step),
      static_cast<uint32_t>(key.purpose) ^ (static_cast<uint32_t>(key.step >> 32) << 8)};
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
/// Uniform in [0, 1), 53 bits, from half 0 or 1 of 128 random bits.
constexpr double unit_of(const std::array<uint32_t, 4>& bits, int half) {
  const uint64_t word = (uint64_t{bits[2 * half + 1]} << 32) | bits[2 * half];
  return static_cast<double>(word >> 11) * 0x1.0p-53;
}

/// Uniform in [0, 1), 53 bits.
double uniform(const RandomKey& key, uint64_t index);
/// Uniform integer in [0, bound), unbiased enough for bound < 2^40 (64-bit multiply-high).
uint64_t uniform_below(const RandomKey& key, uint64_t index, uint64_t bound);
/// Standard normal (Box-Muller, double arithmetic).
double normal(const RandomKey& key, uint64_t index);

/// A sequence of draws from one stream, where an index by hand would be a burden.
class RandomStream {
 public:
  explicit RandomStream(RandomKey key, uint64_t first = 0) : key_(key), next_(first) {}
  double uniform() { return core::uniform(key_, next_++); }
  uint64_t below(uint64_t bound) { return uniform_below(key_, next_++, bound); }
  double normal() { return core::normal(key_, next_++); }

 private:
  RandomKey key_;
  uint64_t next_;
};

}  // namespace longhaul::core
