// Values that ranks send each other, and what is expected of them.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/core/random.h"
#include "kernels/core/tensor.h"

namespace longhaul::test {

template <class T>
core::TensorView view_of(std::vector<T>& values) {
  // An empty vector may have no address; a view of nothing must still be one.
  static char nothing;
  void* data = values.empty() ? static_cast<void*>(&nothing) : values.data();
  return {data, core::kDTypeOf<T>, {static_cast<int64_t>(values.size())}};
}

/// Small integers: exact in every dtype, sums too (below 256 for 8 ranks).
inline int small_value(int rank, int64_t i) {
  return static_cast<int>((rank + 1) * (i % 7) - 3 * (i % 2));
}

template <class T>
T as(double value) {
  if constexpr (std::is_same_v<T, core::BFloat16>) {
    return T(static_cast<float>(value));
  } else {
    return static_cast<T>(value);
  }
}

template <class T>
double number(T value) {
  if constexpr (std::is_same_v<T, core::BFloat16>) {
    return static_cast<float>(value);
  } else {
    return static_cast<double>(value);
  }
}

template <class T, class Formula>
std::vector<T> filled(int64_t count, const Formula& formula) {
  std::vector<T> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(as<T>(formula(i)));
  return values;
}

template <class T, class Formula>
void expect_values(const std::vector<T>& values, const Formula& formula, const std::string& what) {
  for (int64_t i = 0; i < static_cast<int64_t>(values.size()); ++i) {
    ASSERT_EQ(number(values[static_cast<size_t>(i)]), static_cast<double>(formula(i)))
        << what << ", element " << i;
  }
}

/// Values of very different magnitude: a sum in another order has other bits.
inline std::vector<float> sensitive(int rank, int64_t count) {
  const core::RandomKey key{static_cast<uint64_t>(rank) + 1, 0, core::RandomPurpose::kTest};
  return filled<float>(count, [&](int64_t i) {
    const auto index = static_cast<uint64_t>(i);
    return core::normal(key, index) * std::pow(10.0, static_cast<double>((i + 3 * rank) % 9));
  });
}

/// Of their sensitive values, along the tree of dist/reduction.h.
inline std::vector<float> sum_over_ranks(int ranks, int64_t count) {
  std::vector<std::vector<float>> parts;
  for (int r = 0; r < ranks; ++r) parts.push_back(sensitive(r, count));
  const auto add = [&](size_t to, size_t from) {
    for (size_t i = 0; i < parts[to].size(); ++i) parts[to][i] += parts[from][i];
  };
  const size_t in_tree = std::bit_floor(parts.size());
  for (size_t r = in_tree; r < parts.size(); ++r) add(r - in_tree, r);
  for (size_t distance = 1; distance < in_tree; distance *= 2) {
    for (size_t r = 0; r < in_tree; r += 2 * distance) add(r, r + distance);
  }
  return parts.front();
}

}  // namespace longhaul::test
