#include "tests/support/gradient_check.h"

#include <algorithm>
#include <cmath>

#include "kernels/core/random.h"

namespace longhaul::testing {
namespace {

std::vector<double> normals(size_t count, uint64_t seed, uint64_t stream) {
  std::vector<double> values(count);
  const core::RandomKey key{.seed = seed, .step = stream};
  for (size_t i = 0; i < count; ++i) values[i] = core::normal(key, i);
  return values;
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

std::vector<double> unit_direction(size_t count, uint64_t seed, uint64_t stream) {
  auto v = normals(count, seed, stream);
  const double length = std::sqrt(dot(v, v));
  for (double& x : v) x /= length;
  return v;
}

/// ⟨g, f(x + h v) − f(x − h v)⟩, subtracted before the sum so that equal outputs cancel exactly.
double central_difference(const GradientCheck& check, const std::string& name,
                          const std::vector<double>& v, double h, const Values& upstream) {
  Values displaced = check.inputs;
  auto outputs_at = [&](double distance) {
    for (size_t i = 0; i < v.size(); ++i) {
      displaced[name][i] = check.inputs.at(name)[i] + distance * v[i];
    }
    return check.forward(displaced);
  };
  const Values right = outputs_at(h), left = outputs_at(-h);
  double sum = 0;
  for (const auto& [output, g] : upstream) {
    const auto& r = right.at(output);
    const auto& l = left.at(output);
    for (size_t i = 0; i < g.size(); ++i) sum += g[i] * (r[i] - l[i]);
  }
  return sum;
}

::testing::AssertionResult check_input(const GradientCheck& check, const std::string& name,
                                       const Values& gradients, const Values& upstream) {
  const size_t size = check.inputs.at(name).size();
  const auto found = gradients.find(name);
  if (found == gradients.end()) {
    return ::testing::AssertionFailure() << "backward gives no gradient of '" << name << "'";
  }
  const auto& gradient = found->second;
  if (gradient.size() != size) {
    return ::testing::AssertionFailure() << "the gradient of '" << name << "' has "
                                         << gradient.size() << " elements, expected " << size;
  }
  if (size == 0) return ::testing::AssertionSuccess();
  const double typical = std::sqrt(dot(gradient, gradient) / static_cast<double>(size));
  for (int d = 0; d < check.directions; ++d) {
    const auto v = unit_direction(size, check.seed, 1000 + static_cast<uint64_t>(d));
    const double h = check.step;
    // Richardson: the errors of order h² of the two quotients cancel.
    const double near = central_difference(check, name, v, h, upstream) / (2 * h);
    const double far = central_difference(check, name, v, 2 * h, upstream) / (4 * h);
    const double numeric = (4 * near - far) / 3;
    const double analytic = dot(gradient, v);
    const double scale = std::max({std::abs(numeric), std::abs(analytic), 0.01 * typical, 1e-6});
    const double error = std::abs(numeric - analytic) / scale;
    if (!(error < check.tolerance)) {  // also catches NaN
      return ::testing::AssertionFailure()
             << "gradient of '" << name << "', direction " << d << ": backward says " << analytic
             << ", differences say " << numeric << " (relative error " << error << ", allowed "
             << check.tolerance << ")";
    }
  }
  return ::testing::AssertionSuccess();
}

}  // namespace

::testing::AssertionResult check_gradients(const GradientCheck& check) {
  Values upstream;
  uint64_t stream = 0;
  for (const auto& [name, values] : check.forward(check.inputs)) {
    upstream[name] = normals(values.size(), check.seed, ++stream);
  }
  const Values gradients = check.backward(check.inputs, upstream);
  for (const auto& [name, values] : check.inputs) {
    const auto result = check_input(check, name, gradients, upstream);
    if (!result) return result;
  }
  return ::testing::AssertionSuccess();
}

}  // namespace longhaul::testing
