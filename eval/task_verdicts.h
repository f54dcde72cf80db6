// Who answers a task best at each length, and from whom noise does not tell them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "eval/estimate.h"
#include "eval/line_up.h"
#include "eval/tasks/task_result.h"

namespace longhaul::eval {

/// Marks of the table.
inline constexpr const char* kBest = "● ";
inline constexpr const char* kNotApart = "○ ";

struct ArmVerdict {
  size_t arm = 0;  ///< index in the section
  TaskCell cell = {};
  Comparison best = {};  ///< the best arm against this one; unused in the best itself
  bool apart = false;    ///< worse than the best beyond noise
};

struct LengthVerdict {
  int64_t length = 0;
  std::vector<ArmVerdict> arms;  ///< two or more, the best first
};

struct TaskVerdicts {
  std::vector<LengthVerdict> lengths;  ///< those that two arms or more have, ascending
  /// By what arms were judged that are not told apart from the best; "" where all are.
  std::string noise;

  /// kBest, kNotApart for who is not told apart from it; "" for all others, and where nothing is
  /// compared or nobody answered anything right.
  std::string mark(int64_t length, size_t arm) const;
};

/// The best against every other arm: trial by trial where both were asked the same questions, by
/// what seeds differ by where an arm has some, else by 95 % intervals.
TaskVerdicts judge_task(const LinedUp<TaskResult>& section);

/// "at 2k, c answers best (90 %), a worst (25 %); not told apart at 512: one run each, by …": not
/// escaped. Neighbouring lengths with one verdict are told together.
std::string verdict_sentence(const LinedUp<TaskResult>& section, const TaskVerdicts& verdicts,
                             const std::vector<std::string>& arms);

}  // namespace longhaul::eval
