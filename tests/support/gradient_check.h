// Is a hand-written backward the derivative of its forward? Both are closures over named flat
// inputs in double:
//   GradientCheck{.inputs = {{"x", …}, {"weight", …}},
//                 .forward = [&](const Values& in) { …; return Values{{"y", …}}; },
//                 .backward = [&](const Values& in, const Values& upstream) { …; return
//                 Values{{"x", dx}, …}; }}
// For random directions v of each input and random upstream g: ⟨g, (f(x+hv) − f(x−hv))/2h⟩ =
// ⟨backward(g), v⟩.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace longhaul::testing {

using Values = std::map<std::string, std::vector<double>>;

struct GradientCheck {
  Values inputs;
  std::function<Values(const Values& inputs)> forward;  ///< every output by name
  /// The gradient of every input by the input's name; `upstream` has the names and sizes of the
  /// outputs.
  std::function<Values(const Values& inputs, const Values& upstream)> backward;
  double tolerance = 1e-6;  ///< of the difference, relative to the larger of the two inner products
  double step = 1e-3;  ///< length of the displacement; the difference quotient is of fourth order
  int directions = 2;  ///< tried for each input
  uint64_t seed = 1;
};

/// Says which input's gradient is wrong, missing or of the wrong size, and by how much.
::testing::AssertionResult check_gradients(const GradientCheck& check);

}  // namespace longhaul::testing
