#include "trainer/straggler_detector.h"

#include <glog/logging.h>

#include <algorithm>

namespace longhaul::trainer {

std::vector<StragglerDetector::Change> StragglerDetector::add(const std::vector<double>& seconds) {
  CHECK(!seconds.empty() && (standings_.empty() || standings_.size() == seconds.size()));
  seconds_ = seconds;
  standings_.resize(seconds.size());
  std::vector<double> sorted = seconds;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>((sorted.size() - 1) / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  median_ = *middle;

  std::vector<Change> changes;
  for (size_t rank = 0; rank < seconds.size(); ++rank) {
    Standing& standing = standings_[rank];
    const bool was_slow = seconds[rank] > factor_ * median_;
    standing.contrary = was_slow == standing.slow ? 0 : standing.contrary + 1;
    if (standing.contrary < windows_) continue;
    standing = {.slow = was_slow, .contrary = 0};
    changes.push_back({.rank = static_cast<int>(rank), .slow = was_slow});
  }
  return changes;
}

int StragglerDetector::slowest() const {
  return static_cast<int>(std::max_element(seconds_.begin(), seconds_.end()) - seconds_.begin());
}

std::vector<int> StragglerDetector::stragglers() const {
  std::vector<int> ranks;
  for (size_t rank = 0; rank < standings_.size(); ++rank) {
    if (standings_[rank].slow) ranks.push_back(static_cast<int>(rank));
  }
  return ranks;
}

}  // namespace longhaul::trainer
