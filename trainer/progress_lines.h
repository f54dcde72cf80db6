#pragma once

#include <chrono>
#include <cstdint>

#include "trainer/metrics.h"

namespace longhaul::trainer {

/// The run on the terminal (standard output): aligned columns, one line for each record shown.
class ProgressLines {
 public:
  /// `done` of `steps` lie behind at the start.
  ProgressLines(int64_t done, int64_t steps);
  void show(const Record& record);
  /// Of an evaluation: its numbers, by name.
  void show_evaluation(const Record& record);

 private:
  int64_t first_, steps_;
  std::chrono::steady_clock::time_point start_;
  bool header_shown_ = false;
};

}  // namespace longhaul::trainer
