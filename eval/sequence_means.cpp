#include "eval/sequence_means.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace longhaul::eval {

Deviations deviations(const std::vector<double>& labels, const std::vector<double>& means) {
  Deviations result;
  double count = 0, sum = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    count += labels[i];
    sum += labels[i] * means[i];
    result.labelled += labels[i] > 0;
  }
  for (size_t i = 0; i < labels.size(); ++i) {
    result.values.push_back(labels[i] > 0 ? labels[i] * (means[i] - sum / count) / count : 0);
  }
  return result;
}

Deviations difference(const Deviations& a, const Deviations& b) {
  Deviations result;
  if (a.values.size() != b.values.size()) return result;
  result.labelled = std::min(a.labelled, b.labelled);
  for (size_t i = 0; i < a.values.size(); ++i) result.values.push_back(a.values[i] - b.values[i]);
  return result;
}

double clustered_error(const Deviations& deviations) {
  const auto n = static_cast<double>(deviations.labelled);
  if (n < 2) return std::numeric_limits<double>::quiet_NaN();
  double squares = 0;
  for (const double value : deviations.values) squares += value * value;
  return std::sqrt(n / (n - 1) * squares);
}

}  // namespace longhaul::eval
