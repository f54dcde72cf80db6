// A mean over labels, by the sequences that hold them: its standard error, and that of differences.
#pragma once

#include <cstdint>
#include <vector>

namespace longhaul::eval {

/// As many numbers of single sequences, or trials, a file holds at most.
constexpr int64_t kMostSequenceMeans = 16384;

/// Of each sequence in a bucket, in order: its labels there, their mean loss and accuracy (0
/// without labels).
struct SequenceMeans {
  std::vector<double> labels, loss, accuracy;
};

/// What each sequence adds to the deviation of a mean over all labels, r = Σ xᵢ mᵢ / Σ xᵢ:
/// eᵢ = xᵢ (mᵢ − r) / Σ x. Labels of one sequence are not independent, sequences are.
struct Deviations {
  std::vector<double> values;
  int64_t labelled = 0;  ///< sequences that have labels
};
Deviations deviations(const std::vector<double>& labels, const std::vector<double>& means);
/// Of the difference of two means over the same sequences; no values unless they are as many.
Deviations difference(const Deviations& a, const Deviations& b);
/// Of a ratio, clustered by sequence (Cochran 1977, section 6.3): √(n/(n−1) Σ eᵢ²). NaN for fewer
/// than two sequences with labels.
double clustered_error(const Deviations& deviations);

}  // namespace longhaul::eval
