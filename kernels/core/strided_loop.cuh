// Loops over pairs of views with any strides.
#pragma once

#include "kernels/core/pack.cuh"

namespace longhaul::core {

/// Extents and strides in elements, five dimensions, filled up with ones in front.
struct StridedPair {
  int64_t extent[Shape::kMaxRank], source[Shape::kMaxRank], target[Shape::kMaxRank];

  StridedPair(const TensorView& from, const TensorView& to) {
    const int missing = Shape::kMaxRank - from.rank();
    for (int i = 0; i < Shape::kMaxRank; ++i) {
      const bool there = i >= missing;
      extent[i] = there ? from.extent(i - missing) : 1;
      source[i] = there ? from.stride(i - missing) : 0;
      target[i] = there ? to.stride(i - missing) : 0;
    }
  }
  struct Offsets {
    int64_t source, target;
  };
  __device__ Offsets at(int64_t element) const {
    Offsets offsets{0, 0};
    for (int d = Shape::kMaxRank - 1; d >= 0; --d) {
      const int64_t i = element % extent[d];
      element /= extent[d];
      offsets.source += i * source[d];
      offsets.target += i * target[d];
    }
    return offsets;
  }
};

}  // namespace longhaul::core
