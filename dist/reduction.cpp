#include "dist/reduction.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
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

template <class A>
A larger(A a, A b) {
  if constexpr (std::is_floating_point_v<A>) {
    if (a != a) return a;
    return b > a || b != b ? b : a;
  } else {
    return static_cast<int32_t>(b) > static_cast<int32_t>(a) ? b : a;
  }
}

template <class A>
A combined(Reduction reduction, A lower, A upper) {
  return reduction == Reduction::kSum ? lower + upper : larger(lower, upper);
}

constexpr int64_t kBlock = 512;  // its partial results stay in the first-level cache

/// A block of elements on its way down the tree: one partial result a level, as the digits of a
/// binary counter.
template <class T>
class Tree {
 public:
  using A = typename AccumulatorOf<T>::Type;
  explicit Tree(Reduction reduction) : reduction_(reduction) {}

  /// The next rank, from `source` and, where one is joined to it, from `joined`.
  void add(const T* source, const T* joined, int64_t n) {
    if (partial_.size() == depth_) partial_.emplace_back();
    A* top = partial_[depth_++].data();
    for (int64_t i = 0; i < n; ++i) top[i] = static_cast<A>(source[i]);
    if (joined != nullptr) {
      for (int64_t i = 0; i < n; ++i) {
        top[i] = combined(reduction_, top[i], static_cast<A>(joined[i]));
      }
    }
    for (size_t carry = ranks_++; carry % 2 == 1; carry /= 2) combine_topmost(n);
  }
  /// Of all ranks, a power of two.
  const A* result() const { return partial_[0].data(); }
  void clear() { ranks_ = depth_ = 0; }

 private:
  void combine_topmost(int64_t n) {
    depth_ -= 1;
    A* lower = partial_[depth_ - 1].data();
    const A* upper = partial_[depth_].data();
    for (int64_t i = 0; i < n; ++i) lower[i] = combined(reduction_, lower[i], upper[i]);
  }

  Reduction reduction_;
  std::vector<std::array<A, kBlock>> partial_;
  size_t depth_ = 0, ranks_ = 0;
};

template <class T>
void reduce_as(Reduction reduction, const std::vector<const void*>& sources, void* target,
               int64_t count) {
  const size_t in_tree = std::bit_floor(sources.size());
  const auto block_of = [&](size_t rank, int64_t begin) -> const T* {
    return rank < sources.size() ? static_cast<const T*>(sources[rank]) + begin : nullptr;
  };
  Tree<T> tree(reduction);
  T* out = static_cast<T*>(target);
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t n = std::min(kBlock, count - begin);
    tree.clear();
    for (size_t rank = 0; rank < in_tree; ++rank) {
      tree.add(block_of(rank, begin), block_of(in_tree + rank, begin), n);
    }
    for (int64_t i = 0; i < n; ++i) out[begin + i] = static_cast<T>(tree.result()[i]);
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

core::DType accumulator_of(core::DType dtype) {
  return dtype == core::DType::kBF16 ? core::DType::kF32 : dtype;
}

void widen(core::DType dtype, const void* source, void* accumulators, int64_t count) {
  if (dtype != core::DType::kBF16) {
    std::memcpy(accumulators, source, static_cast<size_t>(count * core::size_of(dtype)));
    return;
  }
  const auto* from = static_cast<const core::BFloat16*>(source);
  std::transform(from, from + count, static_cast<float*>(accumulators),
                 [](core::BFloat16 x) { return static_cast<float>(x); });
}

void narrow(core::DType dtype, const void* accumulators, void* target, int64_t count) {
  if (dtype != core::DType::kBF16) {
    std::memcpy(target, accumulators, static_cast<size_t>(count * core::size_of(dtype)));
    return;
  }
  const auto* from = static_cast<const float*>(accumulators);
  std::transform(from, from + count, static_cast<core::BFloat16*>(target),
                 [](float x) { return core::BFloat16(x); });
}

}  // namespace longhaul::dist
