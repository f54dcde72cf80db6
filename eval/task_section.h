// What the section of a task is drawn and judged from: lengths, cells pooled over parts, and the
// parts that its arms share.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "eval/line_up.h"
#include "eval/tasks/task_result.h"
#include "eval/tasks/task_scoring.h"

namespace longhaul::eval {

/// Of the section's task; it has an arm.
const TaskScoring& scoring_of(const LinedUp<TaskResult>& section);
/// Of all arms, ascending.
std::vector<int64_t> lengths_of(const LinedUp<TaskResult>& section);

/// The mean over parts (or of this one) of the cells of one length and these depths, weighted by
/// trials; nothing where there were no trials. Of a mean over seeds: mean_cell of that in each
/// seed.
TaskCell pooled_cell(const TaskResult& result, int64_t length, double depth_low, double depth_high,
                     const std::string* part = nullptr);

/// A section over the parts that all its arms have (an arm of several seeds: that all of these
/// have). Where there is none, every arm is left with its own, which compares with no other's.
class SharedParts {
 public:
  explicit SharedParts(const LinedUp<TaskResult>& section);
  SharedParts(const SharedParts&) = delete;
  SharedParts& operator=(const SharedParts&) = delete;

  /// Points into this, or to the whole results where no part is left out.
  const LinedUp<TaskResult>& section() const { return section_; }
  bool comparable() const { return comparable_; }
  /// Says what is left out, or that arms share nothing; "" where all arms have the same. Not
  /// escaped.
  std::string sentence(const std::vector<std::string>& arms) const;

 private:
  LinedUp<TaskResult> section_;
  std::vector<TaskResult> kept_;                 // without the parts that are left out
  std::vector<std::vector<std::string>> parts_;  // of each arm
  std::vector<std::string> shared_, left_out_;
  bool comparable_ = true;
};

/// "a, b and c".
std::string listed(const std::vector<std::string>& names);

}  // namespace longhaul::eval
