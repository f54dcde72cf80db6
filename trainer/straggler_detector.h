// Which ranks are slower than the others, and stay so.
#pragma once

#include <cstdint>
#include <vector>

namespace longhaul::trainer {

/// A rank is a straggler once its own work took more than `factor` times the median in `windows`
/// windows in a row, and no longer once it did not in as many. Of an even number of ranks the
/// median is the lower middle: of two ranks the faster one is what the other is compared with.
class StragglerDetector {
 public:
  explicit StragglerDetector(int windows = 3, double factor = 1.3)
      : windows_(windows), factor_(factor) {}

  struct Change {
    int rank = 0;
    bool slow = false;  ///< became a straggler; false: is none any more
  };
  /// Seconds that each rank's own work took in a window; the same number of ranks every time.
  std::vector<Change> add(const std::vector<double>& seconds);

  /// Of the last window.
  double median() const { return median_; }
  const std::vector<double>& seconds() const { return seconds_; }
  int slowest() const;
  /// Those there are now, in rising order.
  std::vector<int> stragglers() const;

 private:
  struct Standing {
    bool slow = false;
    int contrary = 0;  ///< windows in a row that say otherwise
  };

  int windows_;
  double factor_;
  double median_ = 0;
  std::vector<double> seconds_;
  std::vector<Standing> standings_;
};

}  // namespace longhaul::trainer
