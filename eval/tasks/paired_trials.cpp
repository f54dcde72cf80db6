#include "eval/tasks/paired_trials.h"

#include <glog/logging.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "eval/sequences.h"

namespace longhaul::eval {

namespace {

/// Of a fair coin: that `throws` throws show one side at most `few` times, either side.
double chance(int64_t few, int64_t throws) {
  const auto n = static_cast<double>(throws);
  double sum = 0;
  for (int64_t i = 0; i <= few; ++i) {
    const auto k = static_cast<double>(i);
    sum += std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1) -
                    n * std::log(2.0));
  }
  return std::min(1.0, 2 * sum);
}

/// Of every trial at a length, part by part; empty where they are not known.
std::vector<double> scores_at(const TaskResult& run, int64_t length) {
  std::vector<double> scores;
  for (const TaskCell& cell : run.cells) {
    if (cell.length != length || !cell.all_depths()) continue;
    if (std::ssize(cell.scores) != cell.trials) return {};
    scores.insert(scores.end(), cell.scores.begin(), cell.scores.end());
  }
  return scores;
}

}  // namespace

Identity questions_asked(const Identity& measured) {
  static const std::set<std::string> kDeciding{"measure", "depths", "trials", "questions", "seed"};
  Identity asked;
  for (const auto& entry : measured) {
    if (kDeciding.contains(entry.first) || entry.first.starts_with("task ")) {
      asked.push_back(entry);
    }
  }
  return asked;
}

Comparison compare_trials(const std::vector<double>& a, const std::vector<double>& b) {
  CHECK(a.size() == b.size() && !a.empty());
  std::vector<double> differences;
  double sum = 0;
  int64_t better = 0, worse = 0;
  bool graded = false;
  for (size_t i = 0; i < a.size(); ++i) {
    differences.push_back(a[i] - b[i]);
    sum += differences.back();
    better += differences.back() > 0;
    worse += differences.back() < 0;
    for (const double score : {a[i], b[i]}) graded = graded || (score != 0 && score != 1);
  }
  const int64_t trials = std::ssize(a), told = better + worse;
  Comparison result{.difference = sum / static_cast<double>(trials),
                    .error = standard_error(differences),
                    .apart = chance(std::min(better, worse), told) < 0.05,
                    .pairing = Pairing::kTrials};
  if (graded) {
    result.apart = told >= 6 && std::abs(result.difference) > student(trials - 1) * result.error;
  }
  return result;
}

std::optional<Comparison> compare_trials(const TaskResult& a, const TaskResult& b, int64_t length) {
  if (!a.of_seeds.empty() || !b.of_seeds.empty()) return std::nullopt;
  const Identity asked = questions_asked(a.measured);
  const std::vector<double> of_a = scores_at(a, length), of_b = scores_at(b, length);
  if (asked.empty() || asked != questions_asked(b.measured) || of_a.empty() ||
      of_a.size() != of_b.size()) {
    return std::nullopt;
  }
  return compare_trials(of_a, of_b);
}

}  // namespace longhaul::eval
