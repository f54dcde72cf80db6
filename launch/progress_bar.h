#pragma once

#include <string>

namespace longhaul::launch {

/// One line on stderr that is overwritten; nothing at all where stderr is no terminal.
class ProgressBar {
 public:
  explicit ProgressBar(std::string label);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// `share` from 0 to 1; `text` follows the bar.
  void show(double share, const std::string& text);

 private:
  std::string label_;
  bool visible_;
  size_t width_ = 0;  // of the line shown
};

}  // namespace longhaul::launch
