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

/// A stream is named by (seed, step, purpose); `index` picks the element (e.g. global sequence, layer).
struct RandomKey {
  uint64_t seed = 0;
  uint64_t step = 0;
  RandomPurpose purpose = RandomPurpose::kTest;
};

/// 128 random bits for counter `index` of stream `key`.
std::array<uint32_t, 4> philox(const RandomKey& key, uint64_t index);

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
