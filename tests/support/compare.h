// How far two arrays are apart, in a form that a failing test can print.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "kernels/core/tensor.h"

namespace longhaul::testing {

struct Difference {
  double normalised_rms =
      0;  ///< √(Σ(found − expected)²/Σ expected²); absolute where expected is all 0
  double max_relative = 0;  ///< max |found − expected| / max |expected|
  int64_t index = -1;       ///< of the element that is furthest off (or not finite)
  double found = 0, expected = 0;
};
Difference difference(const std::vector<double>& found, const std::vector<double>& expected);

/// Equal sizes and max_relative ≤ tolerance. A NaN on one side only is a failure.
::testing::AssertionResult close(const std::vector<double>& found,
                                 const std::vector<double>& expected, double tolerance);
::testing::AssertionResult close(const core::TensorView& found, const std::vector<double>& expected,
                                 double tolerance);

/// Same shape, dtype and bits.
::testing::AssertionResult bit_equal(const core::TensorView& found,
                                     const core::TensorView& expected);

}  // namespace longhaul::testing
