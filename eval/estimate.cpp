#include "eval/estimate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "eval/formatted.h"
#include "eval/sequences.h"

namespace longhaul::eval {

namespace {

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

/// None unless both runs read the same sequences.
Deviations difference_by_sequence(const Estimate& a, const Estimate& b) {
  if (a.sequences.empty() || a.sequences != b.sequences) return {};
  return difference(a.by_sequence, b.by_sequence);
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

}  // namespace

double student(int64_t degrees) {
  if (degrees <= std::ssize(kStudent)) return kStudent.at(static_cast<size_t>(degrees - 1));
  const auto d = static_cast<double>(degrees);  // three digits are right
  return 1.96 + 2.37 / d + 2.8 / (d * d);
}

Estimate over_seeds(std::vector<Named<double>> seeds) {
  std::vector<double> values;
  for (const Named<double>& seed : seeds) values.push_back(seed.value);
  return {.value = mean(values), .error = standard_error(values), .seeds = std::move(seeds)};
}

Comparison compare(const Estimate& a, const Estimate& b) {
  const std::vector<double> paired = differences(a, b);
  Comparison result{.difference = a.value - b.value, .apart = std::nullopt};
  double least = 2;  // standard errors that chance seldom reaches
  const Deviations apart = difference_by_sequence(a, b);
  if (paired.size() >= 2) {
    result.pairing = Pairing::kSeeds;
    result.difference = mean(paired);
    result.error = standard_error(paired);
    least = student(std::ssize(paired) - 1);
  } else if (apart.labelled > 1) {
    result.pairing = Pairing::kSequences;
    result.error = clustered_error(apart);
    least = student(apart.labelled - 1);
  } else {
    result.error = std::hypot(a.error, b.error);
  }
  if (!std::isnan(result.error)) {
    result.apart = std::abs(result.difference) > least * result.error;
  }
  return result;
}

std::optional<bool> differ(const Estimate& a, const Estimate& b) { return compare(a, b).apart; }

std::string Comparison::size(const char* format, double scale) const {
  return formatted(format, scale * std::abs(difference)) +
         (std::isnan(error) ? "" : " ± " + formatted(format, std::abs(scale) * error));
}

std::string Comparison::text(const char* format, double scale) const {
  const char* pairs = pairing == Pairing::kSequences ? "sequence by sequence"
                      : pairing == Pairing::kTrials  ? "trial by trial"
                                                     : nullptr;
  if (pairs == nullptr || !std::isfinite(difference)) return "";
  return std::string("; paired ") + pairs + " they differ by " + size(format, scale);
}

std::string noise_name(bool seeds, bool sequences) {
  if (seeds) return "what seeds differ by (differences seed by seed, Student's t at 95 %)";
  return sequences ? "two standard errors (of the differences sequence by sequence, Student's t at "
                     "95 %, where both read the same ones and their files hold them)"
                   : "two standard errors";
}

}  // namespace longhaul::eval
