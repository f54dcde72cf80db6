#include "tests/support/compare.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "tests/support/random_tensor.h"

namespace longhaul::testing {

Difference difference(const std::vector<double>& found, const std::vector<double>& expected) {
  Difference result;
  double squares = 0, error_squares = 0, largest = 0, furthest = -1;
  for (size_t i = 0; i < expected.size(); ++i) {
    const bool same = found[i] == expected[i] || (std::isnan(found[i]) && std::isnan(expected[i]));
    double error = same ? 0 : std::abs(found[i] - expected[i]);
    if (std::isnan(error)) error = std::numeric_limits<double>::infinity();
    if (error > furthest) {
      furthest = error;
      result.index = static_cast<int64_t>(i);
      result.found = found[i];
      result.expected = expected[i];
    }
    error_squares += error * error;
    if (std::isfinite(expected[i])) {
      squares += expected[i] * expected[i];
      largest = std::max(largest, std::abs(expected[i]));
    }
  }
  result.normalised_rms = std::sqrt(squares > 0 ? error_squares / squares : error_squares);
  result.max_relative = std::max(furthest, 0.0) / (largest > 0 ? largest : 1);
  return result;
}

::testing::AssertionResult close(const std::vector<double>& found,
                                 const std::vector<double>& expected, double tolerance) {
  if (found.size() != expected.size()) {
    return ::testing::AssertionFailure()
           << found.size() << " elements, expected " << expected.size();
  }
  const Difference d = difference(found, expected);
  if (d.max_relative <= tolerance) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "element " << d.index << " of " << expected.size() << " is " << d.found << ", expected "
         << d.expected << "; max relative error " << d.max_relative << ", normalised RMS "
         << d.normalised_rms << ", allowed " << tolerance;
}

::testing::AssertionResult close(const core::TensorView& found, const std::vector<double>& expected,
                                 double tolerance) {
  return close(values_of(found), expected, tolerance);
}

::testing::AssertionResult bit_equal(const core::TensorView& found,
                                     const core::TensorView& expected) {
  if (!(found.shape() == expected.shape()) || found.dtype() != expected.dtype()) {
    return ::testing::AssertionFailure()
           << found.shape() << " " << core::name_of(found.dtype()) << ", expected "
           << expected.shape() << " " << core::name_of(expected.dtype());
  }
  CHECK(found.is_contiguous() && expected.is_contiguous());
  const HostTensor found_here = host_copy(found), expected_here = host_copy(expected);
  const unsigned char* a = found_here.bytes.data();
  const unsigned char* b = expected_here.bytes.data();
  const int64_t bytes = found.bytes();
  const auto* mismatch = std::mismatch(a, a + bytes, b).first;
  if (mismatch == a + bytes) return ::testing::AssertionSuccess();
  const int64_t index = (mismatch - a) / core::size_of(found.dtype());
  return ::testing::AssertionFailure()
         << "element " << index << " differs: " << values_of(found)[static_cast<size_t>(index)]
         << " and " << values_of(expected)[static_cast<size_t>(index)];
}

}  // namespace longhaul::testing
