#include "eval/report_tasks.h"

#include <glog/logging.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "eval/conditions.h"
#include "eval/estimate.h"
#include "eval/formatted.h"
#include "eval/html.h"
#include "eval/plot.h"
#include "eval/seeds.h"
#include "eval/tasks/paired_trials.h"
#include "eval/tasks/task_scoring.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

using Depths = std::pair<double, double>;

constexpr double kNormal = 1.959963984540054;  // half of a 95 % interval, in standard errors

/// The task's results, whichever arm has some.
const TaskResult& any_of(const LinedUp<TaskResult>& section) {
  return **std::find_if(section.arms.begin(), section.arms.end(),
                        [](const TaskResult* arm) { return arm != nullptr; });
}

const TaskScoring& scoring_of(const TaskResult& result) {
  const TaskScoring* scoring = find_task_scoring(result.task);
  CHECK(scoring != nullptr) << result.task;
  return *scoring;
}

std::string length_name(const TaskResult& result, int64_t length) {
  return length_name(scoring_of(result), length);
}

std::vector<int64_t> lengths_of(const LinedUp<TaskResult>& section) {
  std::set<int64_t> lengths;
  for (const TaskResult* arm : section.arms) {
    for (const TaskCell& cell : arm != nullptr ? arm->cells : std::vector<TaskCell>{}) {
      lengths.insert(cell.length);
    }
  }
  return {lengths.begin(), lengths.end()};
}

std::string interval_name(const LinedUp<TaskResult>& section) {
  return error_name(section.arms, "95 % interval");
}

std::string percent(double share) { return formatted("%.0f", 100 * share); }

std::string with_interval(const TaskCell& cell) {
  const std::string accuracy = formatted("%.1f", 100 * cell.accuracy);
  if (!(cell.high > cell.low)) return accuracy;
  return accuracy + " <small>(" + percent(cell.low) + " to " + percent(cell.high) + ")</small>";
}

std::string header(const LinedUp<TaskResult>& section, const std::string& first) {
  std::string out =
      "<div class=\"narrow-scroll\"><table>\n<thead><tr><th scope=\"col\">" + first + "</th>";
  for (const int64_t length : lengths_of(section)) {
    out += "<th scope=\"col\">" + length_name(any_of(section), length) + "</th>";
  }
  return out + "</tr></thead>\n<tbody>\n";
}

std::string table(const LinedUp<TaskResult>& section, const std::vector<std::string>& arms) {
  std::string out = "<p class=\"soft\">Accuracy in %, with its " + interval_name(section) +
                    ".</p>\n" + header(section, "arm");
  for (size_t i = 0; i < arms.size(); ++i) {
    if (section.arms[i] == nullptr) continue;
    out += "<tr><th scope=\"row\">" + escape_html(arms[i]) + "</th>";
    for (const int64_t length : lengths_of(section)) {
      const TaskCell cell = pooled_cell(*section.arms[i], length, 0, 1);
      out += "<td>" + (cell.trials > 0 ? with_interval(cell) : "–") + "</td>";
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

std::set<Depths> depths_of(const TaskResult& result) {
  std::set<Depths> depths;
  for (const TaskCell& cell : result.cells) {
    if (!cell.all_depths()) depths.insert({cell.depth_low, cell.depth_high});
  }
  return depths;
}

std::string heat_cell(const TaskCell& cell) {
  if (cell.trials == 0) return "<td>–</td>";
  const int colour = std::clamp(static_cast<int>(10 * cell.accuracy), 0, 9);
  return core::message("<td style=\"background: var(--heat-", colour,
                       "); color: ", colour < 6 ? "#fff" : "#000", "\" title=\"", cell.trials,
                       " trials, ", percent(cell.low), " to ", percent(cell.high), " %\">",
                       percent(cell.accuracy), "</td>");
}

/// Lengths by depths, one map an arm.
std::string maps(const LinedUp<TaskResult>& section, const std::vector<std::string>& arms) {
  std::string out;
  for (size_t i = 0; i < arms.size(); ++i) {
    const TaskResult* arm = section.arms[i];
    if (arm == nullptr || depths_of(*arm).empty()) continue;
    out += "<h4>" + escape_html(arms[i]) + "</h4>\n" + header(section, "depth");
    for (const auto& [low, high] : depths_of(*arm)) {
      out += "<tr><th scope=\"row\">" + percent(low) + (low == high ? "" : " to " + percent(high)) +
             " %</th>";
      for (const int64_t length : lengths_of(section)) {
        out += heat_cell(pooled_cell(*arm, length, low, high));
      }
      out += "</tr>\n";
    }
    out += "</tbody></table></div>\n";
  }
  return out.empty() ? ""
                     : "<h3>By length and depth</h3>\n<p class=\"soft\">Accuracy in %; depth is "
                       "where in the prompt what answers the question is.</p>\n" +
                           out;
}

/// Of one part, or of all.
PlotLine line_of(int arm, const TaskResult& result, const std::vector<int64_t>& lengths,
                 const std::string* part) {
  PlotLine line{.arm = arm, .points = {}};
  for (const int64_t length : lengths) {
    const TaskCell cell = pooled_cell(result, length, 0, 1, part);
    if (cell.trials == 0 || length == 0) continue;
    line.points.push_back({.x = static_cast<double>(length),
                           .y = 100 * cell.accuracy,
                           .error = 100 * (cell.high - cell.accuracy),
                           .beneath = 100 * (cell.accuracy - cell.low)});
  }
  return line;
}

/// A paragraph for each arm that has fewer trials than were asked for.
std::string shortages_html(const LinedUp<TaskResult>& section,
                           const std::vector<std::string>& arms) {
  std::string out;
  for (size_t i = 0; i < arms.size(); ++i) {
    if (section.arms[i] == nullptr) continue;
    const TaskResult& arm = *section.arms[i];
    for (const std::string& line : shortages(arm.of_seeds.empty() ? arm : arm.of_seeds[0].value)) {
      out += "<p class=\"soft\">" + escape_html(arms[i] + ": " + line) + ".</p>\n";
    }
  }
  return out;
}

struct Judged {
  std::string arm;
  TaskCell cell;
  Estimate accuracy;
  const TaskResult* result = nullptr;
};

Estimate accuracy_at(const TaskResult& arm, int64_t length) {
  const auto of_run = [&](const TaskResult& run) -> std::optional<Estimate> {
    const TaskCell cell = pooled_cell(run, length, 0, 1);
    if (cell.trials == 0) return std::nullopt;
    return Estimate{.value = cell.accuracy, .error = (cell.high - cell.low) / (2 * kNormal)};
  };
  return estimate_of(arm, of_run).value_or(Estimate{});
}

/// Who answers best and worst at one length.
struct Extremes {
  Judged least, most;
  bool clear = false;  ///< they are told apart
  Comparison compared = {};
};

std::optional<Extremes> extremes_at(const LinedUp<TaskResult>& section,
                                    const std::vector<std::string>& arms, int64_t length) {
  std::vector<Judged> judged;
  for (size_t i = 0; i < arms.size(); ++i) {
    if (section.arms[i] == nullptr) continue;
    const TaskCell cell = pooled_cell(*section.arms[i], length, 0, 1);
    if (cell.trials == 0) continue;
    judged.push_back({arms[i], cell, accuracy_at(*section.arms[i], length), section.arms[i]});
  }
  if (judged.size() < 2) return std::nullopt;
  const auto by_accuracy = [](const Judged& a, const Judged& b) {
    return a.cell.accuracy < b.cell.accuracy;
  };
  const auto [least, most] = std::minmax_element(judged.begin(), judged.end(), by_accuracy);
  Extremes found{.least = *least, .most = *most};
  if (const auto trials = compare_trials(*most->result, *least->result, length)) {
    found.compared = *trials;
    found.clear = trials->apart.value_or(false);
  } else if (has_seeds(section.arms)) {
    found.compared = compare(most->accuracy, least->accuracy);
    found.clear = found.compared.apart.value_or(false);
  } else {
    found.clear = least->cell.high < most->cell.low;
  }
  return found;
}

/// Of every length: who answers best and worst, or that noise leaves it open.
std::string comparison(const LinedUp<TaskResult>& section, const std::vector<std::string>& arms) {
  std::string told, open;
  bool trials = false, intervals = false;  // by which noise leaves it open
  for (const int64_t length : lengths_of(section)) {
    const std::optional<Extremes> found = extremes_at(section, arms, length);
    if (!found) continue;
    const std::string where = length_name(any_of(section), length);
    const std::string least = percent(found->least.cell.accuracy),
                      most = percent(found->most.cell.accuracy);
    if (found->clear) {
      told += (told.empty() ? "" : "; ") + ("at " + where) + ", " + found->most.arm +
              " answers best (" + most + " %), " + found->least.arm + " worst (" + least + " %" +
              found->compared.text("%.0f", 100) + ")";
    } else {
      const bool paired = found->compared.pairing == Pairing::kTrials;
      trials = trials || paired;
      intervals = intervals || !paired;
      open += (open.empty() ? "" : ", ") + ("at " + where) + " (" + least + " % in " +
              found->least.arm + ", " + most + " % in " + found->most.arm +
              found->compared.text("%.0f", 100) + ")";
    }
  }
  if (told.empty() && open.empty()) return "share of right answers.";
  if (open.empty()) return told + ".";
  const bool seeds = has_seeds(section.arms);
  std::string noise = seeds ? noise_name(seeds) : "";
  if (intervals) noise += noise.empty() ? "their 95 % intervals, which overlap" : "";
  if (trials) {
    noise += (noise.empty() ? "" : " or, where paired, ") +
             std::string("the exact test of McNemar at 95 % (graded scores: Student's t)");
  }
  return told + (told.empty() ? "" : "; ") + "not told apart " + open + ": " +
         seeds_name(section.arms) + ", by " + noise + ".";
}

}  // namespace

TaskCell pooled_cell(const TaskResult& result, int64_t length, double depth_low, double depth_high,
                     const std::string* part) {
  if (!result.of_seeds.empty()) {  // parts are no seeds: pooled in each before their spread
    std::vector<TaskCell> seeds;
    for (const Named<TaskResult>& seed : result.of_seeds) {
      seeds.push_back(pooled_cell(seed.value, length, depth_low, depth_high, part));
    }
    return mean_cell(seeds);
  }
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

std::vector<LinedUp<TaskResult>> task_sections(const std::vector<RunFolder>& runs) {
  std::vector<LinedUp<TaskResult>> all;
  for (const auto& scoring : task_scorings()) {
    std::vector<std::vector<Named<const TaskResult*>>> results;
    bool any = false;
    for (const RunFolder& run : runs) {
      auto& own = results.emplace_back();
      for (const Named<TaskResult>& result : run.tasks) {
        if (result.value.task == scoring->name()) own.push_back({result.name, &result.value});
      }
      any = any || !own.empty();
    }
    if (!any) continue;
    for (auto& section : line_up(results)) all.push_back(std::move(section));
  }
  return all;
}

std::string task_title(const LinedUp<TaskResult>& section) {
  const TaskScoring& scoring = scoring_of(any_of(section));
  const bool is_named = !section.name.empty() && section.name != scoring.name();
  return scoring.title() + (is_named ? ": " + section.name : "");
}

std::string task_html(const LinedUp<TaskResult>& section, const Figures& figures, size_t index) {
  const std::vector<std::string>& arms = figures.arms();
  const TaskScoring& scoring = scoring_of(any_of(section));
  const std::vector<int64_t> lengths = lengths_of(section);
  Plot plot{.name = core::message("t", index, "all"),
            .x_label = scoring.axis(),
            .over_positions = scoring.unit().empty(),
            .least = 0,
            .most = 100,
            .marks = {},
            .lines = {}};
  if (const int64_t trained = shortest_training(section.arms); trained > 0) plot.marks = {trained};
  std::set<std::string> parts;
  for (const TaskResult* arm : section.arms) {
    if (arm == nullptr) continue;
    for (const TaskCell& cell : arm->cells) parts.insert(cell.part);
  }
  const auto drawn = [&](const std::string& name, const std::string& title,
                         const std::string* part) {
    Plot own = plot;
    own.name = core::message("t", index, name);
    for (size_t i = 0; i < arms.size(); ++i) {
      if (section.arms[i] == nullptr) continue;
      own.lines.push_back(line_of(static_cast<int>(i), *section.arms[i], lengths, part));
    }
    return figures.figure(own, title, "Bands: " + interval_name(section) + ".");
  };
  std::vector<std::vector<Identity>> measured;
  for (const TaskResult* arm : section.arms) {
    if (arm != nullptr) measured.push_back(measured_of(*arm));
  }
  std::string out = "<section>\n<h2>" + escape_html(task_title(section)) + "</h2>\n";
  out += shortages_html(section, arms);
  if (const std::string differs = unlike_html(measured); !differs.empty()) {
    out += "<p class=\"soft\">" + differs + "</p>\n";
  }
  out += drawn("all", "Right " + scoring.scored() + " by length, %", nullptr);
  int number = 0;
  for (const std::string& part : parts) {
    if (parts.size() > 1) out += drawn(core::message("p", number++), escape_html(part), &part);
  }
  return out + table(section, arms) + maps(section, arms) + "</section>\n";
}

std::vector<std::string> task_findings(const LinedUp<TaskResult>& section,
                                       const std::vector<std::string>& arms) {
  std::vector<std::string> sentences{comparison(section, arms)};
  for (size_t i = 0; i < arms.size(); ++i) {
    const TaskResult* arm = section.arms[i];
    if (arm == nullptr) continue;
    std::string sentence = arms[i] + ": ";
    for (const int64_t length : lengths_of(section)) {
      const TaskCell cell = pooled_cell(*arm, length, 0, 1);
      if (cell.trials == 0) continue;
      sentence += (sentence.ends_with(": ") ? "" : ", ") + percent(cell.accuracy) + " % at " +
                  length_name(*arm, length);
    }
    sentences.push_back(sentence + ".");
  }
  return sentences;
}

}  // namespace longhaul::eval
