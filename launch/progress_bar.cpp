#include "launch/progress_bar.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <utility>

namespace longhaul::launch {

ProgressBar::ProgressBar(std::string label)
    : label_(std::move(label)), visible_(isatty(STDERR_FILENO) == 1) {}

ProgressBar::~ProgressBar() {
  if (visible_ && width_ > 0) std::cerr << "\r" + std::string(width_, ' ') + "\r" << std::flush;
}

void ProgressBar::show(double share, const std::string& text) {
  if (!visible_) return;
  constexpr int kCells = 30;
  const double whole = std::clamp(share, 0.0, 1.0);
  const int full = static_cast<int>(std::lround(whole * kCells));
  std::string line = label_ + " [" + std::string(static_cast<size_t>(full), '#') +
                     std::string(static_cast<size_t>(kCells - full), '.') + "] " +
                     std::to_string(static_cast<int>(100 * whole)) + " % " + text;
  const size_t length = line.size();
  line.resize(std::max(length, width_), ' ');
  width_ = length;
  std::cerr << "\r" + line << std::flush;
}

}  // namespace longhaul::launch
