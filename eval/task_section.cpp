#include "eval/task_section.h"

#include <glog/logging.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>

#include "eval/seeds.h"

namespace longhaul::eval {

namespace {

using Parts = std::set<std::string>;

/// Those that something was asked of.
Parts parts_of_run(const TaskResult& run) {
  Parts parts;
  for (const TaskCell& cell : run.cells) {
    if (cell.trials > 0) parts.insert(cell.part);
  }
  return parts;
}

Parts common(const Parts& a, const Parts& b) {
  Parts both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::inserter(both, both.end()));
  return both;
}

/// Of a mean over seeds those that all seeds have.
Parts parts_of(const TaskResult& arm) {
  if (arm.of_seeds.empty()) return parts_of_run(arm);
  Parts parts = parts_of_run(arm.of_seeds.front().value);
  for (const Named<TaskResult>& seed : arm.of_seeds) {
    parts = common(parts, parts_of_run(seed.value));
  }
  return parts;
}

Parts all_parts_of(const TaskResult& arm) {
  Parts parts = parts_of_run(arm);
  for (const Named<TaskResult>& seed : arm.of_seeds) parts.merge(parts_of_run(seed.value));
  return parts;
}

/// As if nothing else had been asked.
TaskResult with_parts(TaskResult result, const Parts& parts) {
  const std::string task = "task ";  // as questions_asked reads it
  std::erase_if(result.cells, [&](const TaskCell& cell) { return !parts.contains(cell.part); });
  std::erase_if(result.measured, [&](const auto& entry) {
    return entry.first.starts_with(task) && !parts.contains(entry.first.substr(task.size()));
  });
  for (Named<TaskResult>& seed : result.of_seeds) seed.value = with_parts(seed.value, parts);
  return result;
}

TaskCell mean_of_seeds(const TaskResult& result, int64_t length, double depth_low,
                       double depth_high, const std::string* part) {
  std::vector<TaskCell> seeds;
  for (const Named<TaskResult>& seed : result.of_seeds) {
    seeds.push_back(pooled_cell(seed.value, length, depth_low, depth_high, part));
  }
  return mean_cell(seeds);
}

}  // namespace

const TaskScoring& scoring_of(const LinedUp<TaskResult>& section) {
  const auto arm = std::find_if(section.arms.begin(), section.arms.end(),
                                [](const TaskResult* each) { return each != nullptr; });
  CHECK(arm != section.arms.end());
  const TaskScoring* scoring = find_task_scoring((*arm)->task);
  CHECK(scoring != nullptr) << (*arm)->task;
  return *scoring;
}

std::vector<int64_t> lengths_of(const LinedUp<TaskResult>& section) {
  std::set<int64_t> lengths;
  for (const TaskResult* arm : section.arms) {
    if (arm == nullptr) continue;
    for (const TaskCell& cell : arm->cells) lengths.insert(cell.length);
  }
  return {lengths.begin(), lengths.end()};
}

TaskCell pooled_cell(const TaskResult& result, int64_t length, double depth_low, double depth_high,
                     const std::string* part) {
  // Parts are no seeds: they are pooled in each of these before their spread.
  if (!result.of_seeds.empty()) return mean_of_seeds(result, length, depth_low, depth_high, part);
  TaskCell sum{.length = length, .depth_low = depth_low, .depth_high = depth_high};
  int64_t cells = 0;
  double squares = 0;
  for (const TaskCell& cell : result.cells) {
    if (cell.length != length || cell.depth_low != depth_low || cell.depth_high != depth_high ||
        cell.trials == 0 || (part != nullptr && cell.part != *part)) {
      continue;
    }
    const auto trials = static_cast<double>(cell.trials);
    sum.trials += cell.trials;
    sum.accuracy += trials * cell.accuracy;
    sum.exact += trials * cell.exact;
    squares += std::pow(trials * (cell.high - cell.low) / 2, 2);
    if (++cells == 1) {
      sum.low = cell.low;
      sum.high = cell.high;
    }
  }
  if (cells == 0) return sum;
  const auto trials = static_cast<double>(sum.trials);
  sum.accuracy /= trials;
  sum.exact /= trials;
  if (cells == 1) return sum;
  const bool answers = std::abs(sum.accuracy - sum.exact) < 1e-9;
  // Answers that are right or wrong count alike in all parts; else half widths add up in squares.
  const double half = std::sqrt(squares) / trials;
  const Interval interval =
      answers ? wilson_interval(sum.accuracy, sum.trials)
              : Interval{std::max(0.0, sum.accuracy - half), std::min(1.0, sum.accuracy + half)};
  sum.low = interval.low;
  sum.high = interval.high;
  return sum;
}

SharedParts::SharedParts(const LinedUp<TaskResult>& section) : section_(section) {
  Parts all, shared;
  bool any = false;
  for (const TaskResult* arm : section.arms) {
    parts_.emplace_back();
    if (arm == nullptr || all_parts_of(*arm).empty()) continue;
    const Parts own = parts_of(*arm);
    parts_.back().assign(own.begin(), own.end());
    shared = any ? common(shared, own) : own;
    any = true;
    all.merge(all_parts_of(*arm));
  }
  shared_.assign(shared.begin(), shared.end());
  std::set_difference(all.begin(), all.end(), shared.begin(), shared.end(),
                      std::back_inserter(left_out_));
  comparable_ = !shared.empty() || !any;
  if (!comparable_ || left_out_.empty()) return;
  kept_.reserve(section.arms.size());  // section_ points into it
  for (const TaskResult*& arm : section_.arms) {
    if (arm != nullptr) arm = &kept_.emplace_back(with_parts(*arm, shared));
  }
}

std::string SharedParts::sentence(const std::vector<std::string>& arms) const {
  if (left_out_.empty()) return "";
  if (comparable_) {
    return "Not all arms have the same parts. Pooled and judged: " + listed(shared_) +
           ", which all have; left out: " + listed(left_out_) + ".";
  }
  std::string each;
  for (size_t i = 0; i < arms.size(); ++i) {
    if (section_.arms[i] == nullptr) continue;
    each += (each.empty() ? "" : "; ") + arms[i] + ": " +
            (parts_[i].empty() ? "none in all seeds" : listed(parts_[i]));
  }
  return "The arms have no part in common (" + each +
         "): each is shown over its own, and nothing is judged.";
}

std::string listed(const std::vector<std::string>& names) {
  std::string all;
  for (size_t i = 0; i < names.size(); ++i) {
    all += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + names[i];
  }
  return all;
}

}  // namespace longhaul::eval
