#include "eval/tasks/task_scoring.h"

#include <algorithm>
#include <utility>

#include "eval/plot.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

// The build writes eval/task_scorings.inc: LONGHAUL_KIND(NAME) for each file scorings/NAME.cpp.
#define LONGHAUL_KIND(NAME) std::unique_ptr<TaskScoring> make_##NAME##_scoring();
#include "eval/task_scorings.inc"
#undef LONGHAUL_KIND

std::vector<std::unique_ptr<TaskScoring>> make_task_scorings() {
  std::vector<std::unique_ptr<TaskScoring>> scorings;
#define LONGHAUL_KIND(NAME) scorings.push_back(make_##NAME##_scoring());
#include "eval/task_scorings.inc"
#undef LONGHAUL_KIND
  return scorings;
}

std::unique_ptr<TaskScoring> make_task_scoring(const std::string& name) {
  for (auto& scoring : make_task_scorings()) {
    if (scoring->name() == name) return std::move(scoring);
  }
  return nullptr;
}

const std::vector<std::unique_ptr<TaskScoring>>& task_scorings() {
  static const std::vector<std::unique_ptr<TaskScoring>> all = make_task_scorings();
  return all;
}

const TaskScoring* find_task_scoring(const std::string& name) {
  const auto found =
      std::ranges::find_if(task_scorings(), [&](const auto& each) { return each->name() == name; });
  return found == task_scorings().end() ? nullptr : found->get();
}

std::string length_name(const TaskScoring& scoring, int64_t length) {
  if (!scoring.unit().empty()) return core::message(length, " ", scoring.unit());
  return length == 0 ? "no text" : position_name(length);
}

}  // namespace longhaul::eval
