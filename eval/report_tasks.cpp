#include "eval/report_tasks.h"

#include <algorithm>
#include <set>
#include <utility>

#include "eval/conditions.h"
#include "eval/formatted.h"
#include "eval/html.h"
#include "eval/plot.h"
#include "eval/task_verdicts.h"
#include "eval/tasks/task_scoring.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

using Depths = std::pair<double, double>;

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
    out += "<th scope=\"col\">" + length_name(scoring_of(section), length) + "</th>";
  }
  return out + "</tr></thead>\n<tbody>\n";
}

/// A cell of the table, with its mark.
std::string cell_html(const TaskCell& cell, const std::string& mark) {
  if (cell.trials == 0) return "<td>–</td>";
  return (mark == kBest ? "<td class=\"best\">" : "<td>") + mark + with_interval(cell) + "</td>";
}

std::string table(const LinedUp<TaskResult>& section, const TaskVerdicts& verdicts,
                  const std::vector<std::string>& arms) {
  std::string rows;
  std::set<std::string> marks;
  for (size_t i = 0; i < arms.size(); ++i) {
    if (section.arms[i] == nullptr) continue;
    rows += "<tr><th scope=\"row\">" + name_html(arms[i]) + "</th>";
    for (const int64_t length : lengths_of(section)) {
      const std::string mark = verdicts.mark(length, i);
      rows += cell_html(pooled_cell(*section.arms[i], length, 0, 1), mark);
      marks.insert(mark);
    }
    rows += "</tr>\n";
  }
  std::string out = "<p class=\"soft\">Accuracy in %, with its " + interval_name(section) + ".";
  if (marks.contains(kBest)) out += " ● best";
  if (marks.contains(kNotApart)) {
    out += ", ○ not told apart from the best, by " + escape_html(verdicts.noise);
  }
  out += marks.contains(kBest) ? ".</p>\n" : "</p>\n";
  return out + header(section, "arm") + rows + "</tbody></table></div>\n";
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
    if (cell.trials == 0) continue;
    line.points.push_back({.x = static_cast<double>(length),
                           .y = 100 * cell.accuracy,
                           .error = 100 * (cell.high - cell.accuracy),
                           .beneath = 100 * (cell.accuracy - cell.low)});
  }
  return line;
}

/// Accuracies by length of every arm that has some; `part`: of one part, else of all.
std::string curves(const LinedUp<TaskResult>& section, const Figures& figures,
                   const std::string& name, const std::string& title, const std::string* part) {
  const TaskScoring& scoring = scoring_of(section);
  Plot plot{.name = name,
            .x_label = scoring.axis(),
            .over_positions = scoring.unit().empty(),
            .least = 0,
            .most = 100,
            .marks = {},
            .lines = {}};
  if (const int64_t trained = shortest_training(section.arms); trained > 0) plot.marks = {trained};
  std::string caption = "Bands: " + interval_name(section) + ".";
  std::vector<int64_t> lengths = lengths_of(section);
  const bool has_zero = plot.over_positions && std::erase(lengths, 0) > 0;
  bool leaves_out = false;
  for (size_t i = 0; i < section.arms.size(); ++i) {
    const TaskResult* arm = section.arms[i];
    if (arm == nullptr) continue;
    PlotLine line = line_of(static_cast<int>(i), *arm, lengths, part);
    if (!line.points.empty()) plot.lines.push_back(std::move(line));
    leaves_out = leaves_out || (has_zero && pooled_cell(*arm, 0, 0, 1, part).trials > 0);
  }
  if (leaves_out) {
    caption += " Not drawn: " + length_name(scoring, 0) + ", as a logarithmic axis has no 0.";
  }
  return figures.figure(plot, title, caption);
}

/// In what the arms were not asked alike; "" where in nothing.
std::string unlike_arms(const LinedUp<TaskResult>& section) {
  std::vector<std::vector<Identity>> measured;
  for (const TaskResult* arm : section.arms) {
    if (arm != nullptr) measured.push_back(measured_of(*arm));
  }
  return unlike_html(measured);
}

std::set<std::string> parts_of(const LinedUp<TaskResult>& section) {
  std::set<std::string> parts;
  for (const TaskResult* arm : section.arms) {
    if (arm == nullptr) continue;
    for (const TaskCell& cell : arm->cells) parts.insert(cell.part);
  }
  return parts;
}

/// "base: 90 % at 512, 25 % at 2k."
std::string accuracies(const LinedUp<TaskResult>& section, size_t arm, const std::string& name) {
  std::string sentence = name + ": ";
  for (const int64_t length : lengths_of(section)) {
    const TaskCell cell = pooled_cell(*section.arms[arm], length, 0, 1);
    if (cell.trials == 0) continue;
    sentence += (sentence.ends_with(": ") ? "" : ", ") + percent(cell.accuracy) + " % at " +
                length_name(scoring_of(section), length);
  }
  return sentence + ".";
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

}  // namespace

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
  const TaskScoring& scoring = scoring_of(section);
  const bool is_named = !section.name.empty() && section.name != scoring.name();
  return scoring.title() + (is_named ? ": " + section.name : "");
}

std::string task_html(const LinedUp<TaskResult>& section, const Figures& figures, size_t index) {
  const std::vector<std::string>& arms = figures.arms();
  const SharedParts shared(section);
  std::string out = "<section>\n<h2>" + escape_html(task_title(section)) + "</h2>\n" +
                    shortages_html(section, arms);
  for (const std::string& text : {unlike_arms(section), escape_html(shared.sentence(arms))}) {
    if (!text.empty()) out += "<p class=\"soft\">" + text + "</p>\n";
  }
  if (shared.comparable()) {
    const std::string title = "Right " + scoring_of(section).scored() + " by length, %";
    out += curves(shared.section(), figures, core::message("t", index, "all"), title, nullptr);
  }
  const std::set<std::string> parts = parts_of(section);
  int number = 0;
  for (const std::string& part : parts) {
    if (parts.size() < 2) break;
    const std::string name = core::message("t", index, "p", number++);
    out += curves(section, figures, name, escape_html(part), &part);
  }
  const TaskVerdicts verdicts = shared.comparable() ? judge_task(shared.section()) : TaskVerdicts{};
  return out + table(shared.section(), verdicts, arms) + maps(shared.section(), arms) +
         "</section>\n";
}

std::vector<std::string> task_findings(const LinedUp<TaskResult>& section,
                                       const std::vector<std::string>& arms) {
  const SharedParts shared(section);
  std::vector<std::string> sentences;
  if (shared.comparable()) {
    const TaskVerdicts verdicts = judge_task(shared.section());
    sentences.push_back(verdict_sentence(shared.section(), verdicts, arms));
  } else {
    sentences.push_back("nothing is compared, as the arms have no part in common.");
  }
  if (const std::string parts = shared.sentence(arms); !parts.empty()) sentences.push_back(parts);
  for (size_t i = 0; i < arms.size(); ++i) {
    if (section.arms[i] != nullptr) sentences.push_back(accuracies(shared.section(), i, arms[i]));
  }
  return sentences;
}

}  // namespace longhaul::eval
