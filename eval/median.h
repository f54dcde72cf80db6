#pragma once

#include <algorithm>
#include <vector>

namespace longhaul::eval {

/// Of an even number the mean of the middle two; 0 for none. Not of NaN.
inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace longhaul::eval
