// Sums over the elements of recurrent states, and what follows from them.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/core/context.h"
#include "kernels/core/tensor.h"

namespace longhaul::eval {

struct StateMoments {
  double count = 0, sum = 0, squares = 0;

  void add(const StateMoments& other) {
    count += other.count;
    sum += other.sum;
    squares += other.squares;
  }
  double mean() const { return sum / count; }
  double deviation() const {
    const double variance = squares / count - mean() * mean();
    // NaN must come through: std::max(0, NaN) would hide a state that is lost.
    return variance < 0 ? 0 : std::sqrt(variance);
  }
};

/// Σ and Σ of squares of one head's state in one sequence.
struct HeadMoments {
  double sum = 0, squares = 0;
};
/// state [batch, …], the elements of a sequence in `groups` equal parts: [batch · groups].
std::vector<HeadMoments> head_moments(core::Context& context, const core::TensorView& state,
                                      int64_t groups);

}  // namespace longhaul::eval
