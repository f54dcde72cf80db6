#include "dist/reduction.h"

#include <algorithm>
#include <array>
#include <type_traits>

namespace longhaul::dist {

namespace {

// What a sum of T is taken in. Unsigned, so that an overflow of int32 wraps instead of being
// undefined.
template <class T>
struct AccumulatorOf {
  using Type = T;
};
template <>
struct AccumulatorOf<core::BFloat16> {
  using Type = float;
};
template <>
struct AccumulatorOf<int32_t> {
  using Type = uint32_t;
};

template <class T>
T larger(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (a != a) return a;
    return b > a || b != b ? b : a;
  } else {
    return static_cast<int32_t>(b) > static_cast<int32_t>(a) ? b : a;
  }
}

template <class T>
void reduce_as(Reduction reduction, const std::vector<const void*>& sources, void* target,
               int64_t count) {
  using A = typename AccumulatorOf<T>::Type;
  constexpr int64_t kBlock = 1024;  // stays in the first-level cache while all sources pass
  std::array<A, kBlock> block;
  T* out = static_cast<T*>(target);
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t n = std::min(kBlock, count - begin);
    const T* first = static_cast<const T*>(sources[0]) + begin;
    for (int64_t i = 0; i < n; ++i) block[i] = static_cast<A>(first[i]);
    for (size_t s = 1; s < sources.size(); ++s) {
      const T* source = static_cast<const T*>(sources[s]) + begin;
      if (reduction == Reduction::kSum) {
        for (int64_t i = 0; i < n; ++i) block[i] += static_cast<A>(source[i]);
      } else {
        for (int64_t i = 0; i < n; ++i) block[i] = larger(block[i], static_cast<A>(source[i]));
      }
    }
    for (int64_t i = 0; i < n; ++i) out[begin + i] = static_cast<T>(block[i]);
  }
}

}  // namespace

void reduce(Reduction reduction, core::DType dtype, const std::vector<const void*>& sources,
            void* target, int64_t count) {
  switch (dtype) {
    case core::DType::kF32:
      return reduce_as<float>(reduction, sources, target, count);
    case core::DType::kF64:
      return reduce_as<double>(reduction, sources, target, count);
    case core::DType::kBF16:
      return reduce_as<core::BFloat16>(reduction, sources, target, count);
    case core::DType::kI32:
      return reduce_as<int32_t>(reduction, sources, target, count);
  }
}

}  // namespace longhaul::dist
