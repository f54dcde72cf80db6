#include "launch/eval/eval_progress.h"

#include <unistd.h>

#include <cmath>
#include <iostream>

#include "kernels/core/error.h"

namespace longhaul::launch {

std::string duration_name(double seconds) {
  const auto whole = std::llround(std::min(seconds, 1e9));
  if (whole < 100) return core::message(whole, " s");
  const int64_t minutes = (whole + 59) / 60;
  if (minutes < 100) return core::message(minutes, " min");
  return core::message(minutes / 60, " h ", minutes % 60, " min");
}

std::string EvalProgress::time_left(double share) {
  const Clock::time_point now = now_();
  if (!started_) {
    started_ = now;
    first_share_ = share;
  }
  const double done = share - first_share_;
  if (done <= 0) return "";
  const double seconds = std::chrono::duration<double>(now - *started_).count();
  return duration_name(seconds * (1 - share) / done) + " left";
}

void EvalProgress::show(double share) {
  const std::string left = time_left(share);
  bar_.show(share, left);
  if (isatty(STDERR_FILENO) == 1 || left.empty()) return;
  if (!told_) told_ = started_;
  const Clock::time_point now = now_();
  if (now - *told_ < std::chrono::minutes(1)) return;
  told_ = now;
  std::cerr << core::message("longhaul: eval: ", std::floor(100 * share), " %, ", left, "\n")
            << std::flush;
}

}  // namespace longhaul::launch
