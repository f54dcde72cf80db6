#include <algorithm>
#include <cmath>
#include <limits>

#include "eval/median.h"
#include "eval/states.h"

namespace longhaul::eval {

namespace {

constexpr double kFarthest = 3.5;

}  // namespace

std::vector<OutlierHead> outlier_heads(const StateStatistics& states) {
  std::vector<double> logs, finite;
  for (const HeadStates& head : states.heads) {
    logs.push_back(std::log(head.moments.deviation.back()));
    if (std::isfinite(logs.back())) finite.push_back(logs.back());
  }
  const double centre = median(finite);
  std::vector<double> distances;
  for (double value : finite) distances.push_back(std::abs(value - centre));
  const double spread = median(distances);
  std::vector<OutlierHead> outliers;
  for (size_t i = 0; i < logs.size(); ++i) {
    double score = spread > 0 ? 0.6745 * (logs[i] - centre) / spread : 0;
    if (!std::isfinite(states.heads[i].moments.deviation.back())) {
      score = std::numeric_limits<double>::infinity();
    }
    if (std::abs(score) > kFarthest) outliers.push_back({.index = i, .score = score});
  }
  std::stable_sort(outliers.begin(), outliers.end(), [](const auto& a, const auto& b) {
    return std::abs(a.score) > std::abs(b.score);
  });
  return outliers;
}

}  // namespace longhaul::eval
