#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "launch/progress_bar.h"

namespace longhaul::launch {

/// How far an evaluation is and how long it will still take: a bar on a terminal, elsewhere a line
/// on stderr once a minute.
class EvalProgress {
 public:
  using Clock = std::chrono::steady_clock;
  explicit EvalProgress(std::function<Clock::time_point()> now = Clock::now)
      : now_(std::move(now)) {}

  void show(double share);
  /// "3 min left"; "" until that can be said. An evaluation that was taken up again began with
  /// the first share that is shown.
  std::string time_left(double share);

 private:
  std::function<Clock::time_point()> now_;
  ProgressBar bar_{"eval"};
  std::optional<Clock::time_point> started_, told_;
  double first_share_ = 0;
};

/// "40 s", "12 min", "3 h 5 min".
std::string duration_name(double seconds);

}  // namespace longhaul::launch
