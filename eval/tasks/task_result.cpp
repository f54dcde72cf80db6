#include "eval/tasks/task_result.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>
#include <utility>

#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

constexpr double kNormal = 1.959963984540054;  // 97.5 % of a normal distribution lie below

// The normal interval is the mean's as n grows; of a few scores that agree its width would be 0.
// But n answers alike leave up to w = z² / (n + z²) of all answers unseen (Wilson's upper limit of
// 0 of n; Wilson 1927, Brown, Cai and DasGupta 2001), and those may score 0 or 1: it is at least
// that wide.
Interval graded_interval(double mean, double variance, int64_t trials) {
  const auto n = static_cast<double>(trials);
  const double unseen = kNormal * kNormal / (n + kNormal * kNormal);
  const double seen = (1 - unseen) * mean, half = kNormal * std::sqrt(variance / n);
  return {.low = std::max(0.0, std::min(seen, mean - half)),
          .high = std::min(1.0, std::max(seen + unseen, mean + half))};
}

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", 100 * share);
  return text;
}

std::string depth_name(const TaskCell& cell) {
  if (cell.depth_low == cell.depth_high) return core::message(cell.depth_low);
  return core::message(cell.depth_low, "-", cell.depth_high);
}

std::string padded(std::string text, size_t width) {
  if (text.size() < width) text.insert(0, width - text.size(), ' ');
  return text;
}

}  // namespace

Interval wilson_interval(double share, int64_t trials) {
  if (trials == 0) return {};
  const auto n = static_cast<double>(trials);
  const double z2 = kNormal * kNormal;
  const double middle = (share + z2 / (2 * n)) / (1 + z2 / n);
  const double half =
      kNormal / (1 + z2 / n) * std::sqrt(share * (1 - share) / n + z2 / (4 * n * n));
  return {.low = std::max(0.0, middle - half), .high = std::min(1.0, middle + half)};
}

TaskCell cell_of(TaskCell cell, std::span<const double> scores, bool graded) {
  cell.trials = std::ssize(scores);
  if (scores.empty()) return cell;
  const auto n = static_cast<double>(cell.trials);
  double sum = 0, exact = 0;
  for (const double score : scores) {
    sum += score;
    exact += score == 1 ? 1 : 0;
  }
  cell.accuracy = sum / n;
  cell.exact = exact / n;
  Interval interval = wilson_interval(cell.accuracy, cell.trials);
  if (graded && scores.size() > 1) {
    double squares = 0;
    for (const double score : scores) squares += (score - cell.accuracy) * (score - cell.accuracy);
    interval = graded_interval(cell.accuracy, squares / (n - 1), cell.trials);
  }
  cell.low = interval.low;
  cell.high = interval.high;
  return cell;
}

std::vector<std::string> shortages(const TaskResult& result) {
  std::map<std::pair<std::string, int64_t>, std::string>
      lengths;  // of part and different questions
  for (const TaskCell& cell : result.cells) {
    if (!cell.all_depths() || cell.trials >= result.trials_asked) continue;
    std::string& all = lengths[{cell.part, cell.trials}];
    all += core::message(all.empty() ? "" : ", ", cell.length);
  }
  std::vector<std::string> lines;
  for (const auto& [key, all] : lengths) {
    lines.push_back(core::message(key.first, key.first.empty() ? "" : ": ", result.trials_asked,
                                  " trials were asked for: only ", key.second,
                                  " questions are different (of length ", all, ")"));
  }
  return lines;
}

std::string format_table(const TaskResult& result) {
  std::set<std::string> depths;
  for (const TaskCell& cell : result.cells) {
    if (!cell.all_depths()) depths.insert(depth_name(cell));
  }
  std::string out =
      result.task + ", accuracy in %, 95 % interval" + (depths.empty() ? "" : "; by depth") + "\n";
  for (const std::string& line : shortages(result)) out += line + "\n";
  out += "  part     length  trials  accuracy          interval   exact";
  for (const std::string& depth : depths) out += padded(depth, 9);
  out += "\n";
  for (size_t i = 0; i < result.cells.size(); ++i) {
    const TaskCell& cell = result.cells[i];
    if (!cell.all_depths()) continue;
    out += padded(cell.part, 6) + padded(std::to_string(cell.length), 11) +
           padded(std::to_string(cell.trials), 8) + padded(percent(cell.accuracy), 10) +
           padded(percent(cell.low) + " to " + percent(cell.high), 18) +
           padded(percent(cell.exact), 8);
    for (const std::string& depth : depths) {
      std::string shown = "-";
      for (size_t j = i + 1; j < result.cells.size() && !result.cells[j].all_depths(); ++j) {
        if (depth_name(result.cells[j]) == depth && result.cells[j].trials > 0) {
          shown = percent(result.cells[j].accuracy);
        }
      }
      out += padded(shown, 9);
    }
    out += "\n";
  }
  return out;
}

}  // namespace longhaul::eval
