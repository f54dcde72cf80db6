#include "data/permutation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <set>
#include <vector>

namespace longhaul::data {
namespace {

core::RandomKey key(uint64_t seed, uint64_t epoch = 0) {
  return {seed, epoch, core::RandomPurpose::kTest};
}

TEST(Permutation, IsABijectionForEverySize) {
  std::vector<uint64_t> sizes;
  for (uint64_t size = 1; size <= 300; ++size) sizes.push_back(size);
  for (const uint64_t size : {1023, 1024, 1025, 4095, 4096, 4097, 65537, 99991})
    sizes.push_back(size);
  for (const uint64_t size : sizes) {
    const Permutation order(key(size), size);
    std::vector<bool> seen(size);
    for (uint64_t i = 0; i < size; ++i) {
      const uint64_t value = order(i);
      ASSERT_LT(value, size);
      ASSERT_FALSE(seen[value]) << value << " twice of " << size;
      seen[value] = true;
    }
  }
}

TEST(Permutation, StaysInsideEnormousSizes) {
  for (const uint64_t size : {(uint64_t{1} << 40) + 1, uint64_t{1} << 62}) {
    const Permutation order(key(5), size);
    std::set<uint64_t> seen;
    for (uint64_t i = 0; i < 1000; ++i) {
      const uint64_t value = order(size - 1 - i);
      ASSERT_LT(value, size);
      ASSERT_TRUE(seen.insert(value).second);
    }
  }
}

TEST(Permutation, DependsOnSeedAndEpoch) {
  const Permutation a(key(1, 0), 1000), b(key(2, 0), 1000), c(key(1, 1), 1000);
  int same_b = 0, same_c = 0;
  for (uint64_t i = 0; i < 1000; ++i) {
    same_b += a(i) == b(i);
    same_c += a(i) == c(i);
  }
  EXPECT_LT(same_b, 15);  // 1 expected
  EXPECT_LT(same_c, 15);
}

TEST(Permutation, TakesEveryIndexEverywhere) {
  for (const uint64_t size : {2, 3, 5, 8, 21}) {
    constexpr int kSeeds = 4000;
    std::vector<std::vector<int>> counts(size, std::vector<int>(size));
    for (int seed = 0; seed < kSeeds; ++seed) {
      const Permutation order(key(static_cast<uint64_t>(seed)), size);
      for (uint64_t i = 0; i < size; ++i) ++counts[i][order(i)];
    }
    const double expected = static_cast<double>(kSeeds) / static_cast<double>(size);
    for (const auto& row : counts)
      for (const int count : row) EXPECT_NEAR(count, expected, 6 * std::sqrt(expected)) << size;
  }
}

TEST(Permutation, NeighboursDoNotStayTogether) {
  constexpr uint64_t kSize = 10000;
  const Permutation order(key(3), kSize);
  int close = 0;
  for (uint64_t i = 0; i + 1 < kSize; ++i) {
    const auto distance = static_cast<int64_t>(order(i + 1)) - static_cast<int64_t>(order(i));
    close += std::abs(distance) <= 10;
  }
  EXPECT_LT(close, 60);  // 20 expected
}

}  // namespace
}  // namespace longhaul::data
