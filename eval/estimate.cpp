#include "eval/estimate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "eval/sequences.h"

namespace longhaul::eval {

namespace {

/// 97.5 % of Student's t with as many degrees of freedom lie below; with more than ten a bit less
/// than the last.
constexpr std::array<double, 10> kStudent{12.706, 4.303, 3.182, 2.776, 2.571,
                                          2.447,  2.365, 2.306, 2.262, 2.228};

std::vector<double> differences(const Estimate& a, const Estimate& b) {
  std::vector<double> found;
  for (const Named<double>& one : a.seeds) {
    const auto other = std::find_if(b.seeds.begin(), b.seeds.end(),
                                    [&](const auto& seed) { return seed.name == one.name; });
    if (other != b.seeds.end()) found.push_back(one.value - other->value);
  }
  return found;
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

}  // namespace

Estimate over_seeds(std::vector<Named<double>> seeds) {
  std::vector<double> values;
  for (const Named<double>& seed : seeds) values.push_back(seed.value);
  return {.value = mean(values), .error = standard_error(values), .seeds = std::move(seeds)};
}

std::optional<bool> differ(const Estimate& a, const Estimate& b) {
  const std::vector<double> paired = differences(a, b);
  if (paired.size() < 2) {
    const double error = std::hypot(a.error, b.error);
    if (std::isnan(error)) return std::nullopt;
    return std::abs(a.value - b.value) > 2 * error;
  }
  const double student = kStudent[std::min(paired.size() - 1, kStudent.size()) - 1];
  return std::abs(mean(paired)) > student * standard_error(paired);
}

std::string noise_name(bool seeds) {
  return seeds ? "what seeds differ by (differences seed by seed, Student's t at 95 %)"
               : "two standard errors";
}

}  // namespace longhaul::eval
