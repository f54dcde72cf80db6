#include "eval/report_states.h"

#include <algorithm>
#include <cmath>

#include "eval/conditions.h"
#include "eval/formatted.h"
#include "eval/heat_map.h"
#include "eval/html.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

using Arms = std::vector<std::string>;

PlotLine line_of(int arm, const StateStatistics& states, const std::vector<double>& values,
                 bool with_error) {
  PlotLine line{.arm = arm, .points = {}};
  for (size_t i = 0; i < values.size(); ++i) {
    if (states.positions[i] < 8 && states.length >= 512) continue;
    line.points.push_back({.x = static_cast<double>(states.positions[i]),
                           .y = values[i],
                           .error = with_error ? states.deviation_error[i] : 0});
  }
  return line;
}

std::string curves(const LinedUp<StateStatistics>& section, const Figures& figures, size_t index) {
  Plot deviation{.name = core::message("h", index, "deviation"),
                 .x_label = "position in the sequence, tokens",
                 .over_positions = true,
                 .wide_range_is_log = true,
                 .marks = training_lengths(section.arms),
                 .lines = {}};
  Plot norm = deviation, mean = deviation;
  norm.name = core::message("h", index, "norm");
  mean.name = core::message("h", index, "mean");
  mean.wide_range_is_log = false;
  for (size_t i = 0; i < section.arms.size(); ++i) {
    const StateStatistics* arm = section.arms[i];
    if (arm == nullptr) continue;
    const int number = static_cast<int>(i);
    deviation.lines.push_back(line_of(number, *arm, arm->pooled.deviation, true));
    norm.lines.push_back(line_of(number, *arm, arm->pooled.norm, false));
    mean.lines.push_back(line_of(number, *arm, arm->pooled.mean, false));
  }
  const std::string over = "Over sequences, layers, heads and elements.";
  return figures.figure(deviation, "Deviation of the recurrent state",
                        over + " Bands: ± one " +
                            error_name(section.arms, "standard error over sequences") + ".") +
         figures.figure(norm, "Norm of the recurrent state",
                        "Root mean square over sequences and layers of the Frobenius norm.") +
         figures.figure(mean, "Mean of the recurrent state", over);
}

std::string head_name(const HeadStates& head) {
  return core::message("layer ", head.layer, " head ", head.head);
}

std::string tokens(double memory) {
  return std::isfinite(memory) ? short_number(memory) : "no end";
}

/// Deviation at the end over that at the training length; NaN where that is not measured.
double growth(const StateStatistics& states, const HeadStates& head) {
  for (size_t i = states.positions.size(); i-- > 0;) {
    if (states.training_length > 0 && states.positions[i] <= states.training_length) {
      return head.moments.deviation.back() / head.moments.deviation[i];
    }
  }
  return std::nan("");
}

std::string outliers(const StateStatistics& states) {
  constexpr size_t kShown = 5;
  const std::vector<OutlierHead> found = outlier_heads(states);
  if (found.empty()) return "none";
  std::string out;
  for (size_t i = 0; i < std::min(kShown, found.size()); ++i) {
    const HeadStates& head = states.heads[found[i].index];
    out += (i > 0 ? "<br>" : "") + head_name(head) +
           formatted(" (%.3g)", head.moments.deviation.back());
  }
  if (found.size() > kShown) out += core::message("<br>and ", found.size() - kShown, " more");
  return out;
}

std::string row_of(const StateStatistics& states) {
  std::vector<double> memory;
  int64_t beyond = 0, growing = 0;
  for (const HeadStates& head : states.heads) {
    memory.push_back(head.memory());
    beyond += !(head.memory() <= static_cast<double>(states.training_length));
    growing += growth(states, head) > 2;
  }
  std::sort(memory.begin(), memory.end());
  const bool known = states.training_length > 0;
  return core::message("<td>", memory.size(), "</td><td>", tokens(memory.front()), "</td><td>",
                       tokens(memory[memory.size() / 2]), "</td><td>", tokens(memory.back()),
                       "</td><td>", known ? core::message(beyond) : "–", "</td><td>",
                       known ? core::message(growing) : "–", "</td><td>", outliers(states),
                       "</td>");
}

std::string table(const LinedUp<StateStatistics>& section, const Arms& arms) {
  std::string out =
      "<h3>Memory of the heads</h3>\n<p class=\"soft\">Tokens until what a token left in the state "
      "has fallen to 1/e, at a head's mean log-decay. Growing: the deviation at the end is more "
      "than twice that at the training length. Outliers: heads whose deviation at the end (in "
      "brackets) stands out, modified z-score of its logarithm beyond ±3.5.</p>\n"
      "<div class=\"narrow-scroll\"><table>\n<thead><tr><th scope=\"col\">arm</th>";
  for (const char* name : {"heads", "shortest", "median", "longest",
                           "longer than the<br>training length", "growing", "outliers"}) {
    out += std::string("<th scope=\"col\">") + name + "</th>";
  }
  out += "</tr></thead>\n<tbody>\n";
  for (size_t i = 0; i < arms.size(); ++i) {
    out += "<tr><th scope=\"row\">" + escape_html(arms[i]) + "</th>" +
           (section.arms[i] != nullptr ? row_of(*section.arms[i]) : "<td colspan=\"7\">–</td>") +
           "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

/// One map an arm, in the same colours. `value` of a head, with what it is called.
template <class Value>
std::string maps(const LinedUp<StateStatistics>& section, const Arms& arms,
                 const std::string& title, const std::string& unit, const Value& value) {
  std::vector<std::vector<HeatCell>> all(arms.size());
  for (size_t i = 0; i < arms.size(); ++i) {
    if (section.arms[i] == nullptr) continue;
    for (const HeadStates& head : section.arms[i]->heads) {
      const double number = value(*section.arms[i], head);
      all[i].push_back(
          {.row = head.layer,
           .column = head.head,
           .value = number,
           .label = head_name(head) + ": " +
                    (std::isnan(number) ? "not a number" : short_number(number) + " " + unit)});
    }
  }
  const HeatScale scale = scale_over(all);
  if (scale.high == 0) return "";
  std::string out =
      "<h3>" + title + "</h3>\n" + heat_legend(scale, unit) + "<div class=\"maps\">\n";
  for (size_t i = 0; i < arms.size(); ++i) {
    if (all[i].empty()) continue;
    out += "<figure><figcaption>" + escape_html(arms[i]) + "</figcaption>" +
           heat_map(all[i], scale, "layer", "head") + "</figure>\n";
  }
  return out + "</div>\n";
}

}  // namespace

std::string states_html(const LinedUp<StateStatistics>& section, const Figures& figures,
                        size_t index) {
  const std::vector<std::string>& arms = figures.arms();
  std::string title = "States";
  if (!section.name.empty() && section.name != "states") title += ": " + section.name;
  std::vector<Conditions> conditions;
  for (const StateStatistics* arm : section.arms) {
    if (arm != nullptr) conditions.push_back(conditions_of(*arm, arm->read));
  }
  return "<section>\n<h2>" + escape_html(title) + "</h2>\n" + conditions_html(conditions) +
         curves(section, figures, index) + table(section, arms) +
         maps(section, arms, "Memory of each head", "tokens until 1/e",
              [](const StateStatistics&, const HeadStates& head) { return head.memory(); }) +
         maps(section, arms, "Growth of each head's deviation past the training length",
              "times that at the training length", growth) +
         "</section>\n";
}

}  // namespace longhaul::eval
