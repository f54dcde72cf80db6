#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

#include "dist/communicator.h"

namespace longhaul::trainer {

inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// How long each rank's own work in a step takes: the time from a step's start to the reduction of
/// its loss, less what the rank waited for others in it.
class RankTimes {
 public:
  /// `waited`: seconds that this rank has waited for others so far; empty: times are not taken.
  /// They are compared every `window_s` seconds; 0: never.
  RankTimes(dist::Communicator& world, std::function<double()> waited, double window_s);

  void begin_step();
  /// True on rank 0 once a window is over; the ranks agree on it by their next reduction.
  bool is_due() const;
  void end_step();
  /// Mean seconds of a step since the last call, by rank, on rank 0; empty elsewhere. Collective.
  std::vector<double> gather();

 private:
  using Clock = std::chrono::steady_clock;
  bool is_on() const { return waited_ != nullptr && window_s_ > 0 && world_.size() > 1; }

  dist::Communicator& world_;
  std::function<double()> waited_;
  double window_s_;
  Clock::time_point step_start_, window_start_ = Clock::now();
  double waited_before_ = 0, own_seconds_ = 0;
  int64_t steps_ = 0;
};

}  // namespace longhaul::trainer
