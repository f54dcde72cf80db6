#include "eval/report_states.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "eval/conditions.h"
#include "eval/formatted.h"
#include "eval/head_memory.h"
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

using Run = Named<const StateStatistics*>;

/// Those that the arm is the mean of, else itself: heads are told of each run alone.
std::vector<Run> runs_of(const StateStatistics& arm) {
  if (arm.of_seeds.empty()) return {{.name = "", .value = &arm}};
  std::vector<Run> runs;
  for (const Named<StateStatistics>& seed : arm.of_seeds) {
    runs.push_back({.name = escape_html(seed.name), .value = &seed.value});
  }
  return runs;
}

/// Whether the arms of a section have heads, layers whose elements have decays of their own
/// (has_elements), or some of each.
struct Kinds {
  bool heads = false, layers = false;
  bool both() const { return heads && layers; }
  /// "head", "layer", "head or layer"
  std::string word() const { return both() ? "head or layer" : layers ? "layer" : "head"; }
};

Kinds kinds_of(const LinedUp<StateStatistics>& section) {
  Kinds kinds;
  for (const StateStatistics* arm : section.arms) {
    if (arm == nullptr) continue;
    for (const Run& run : runs_of(*arm)) {
      (has_elements(*run.value) ? kinds.layers : kinds.heads) = true;
    }
  }
  return kinds;
}

std::string tokens(double memory) {
  return std::isfinite(memory) ? short_number(memory) : "no end";
}

/// Where the training length is among the positions; none in older files unless it is a power of
/// two: one before it would be another number.
std::optional<size_t> training_position(const StateStatistics& states) {
  const auto found =
      std::find(states.positions.begin(), states.positions.end(), states.training_length);
  if (found == states.positions.end()) return std::nullopt;
  return static_cast<size_t>(found - states.positions.begin());
}

/// Deviation at the end over that at the training length; NaN where that is not measured.
double growth(const StateStatistics& states, const HeadStates& head) {
  const std::optional<size_t> trained = training_position(states);
  return trained ? head.moments.deviation.back() / head.moments.deviation[*trained] : std::nan("");
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

/// Cells of the table for one run.
std::vector<std::string> cells_of(const StateStatistics& run, const Kinds& kinds) {
  int64_t growing = 0;
  for (const HeadStates& head : run.heads) growing += growth(run, head) > 2;
  const MemorySummary memory = memory_summary(run);
  const std::string count = core::message(run.heads.size());
  std::string beyond = "–";
  if (memory.beyond) {
    beyond = has_elements(run) ? percent_text(*memory.beyond) : formatted("%.0f", *memory.beyond);
  }
  return {kinds.both() ? count + " " + head_word(run) + "s" : count,
          tokens(memory.shortest),
          tokens(memory.median),
          tokens(memory.longest),
          beyond,
          training_position(run) ? core::message(growing) : "–",
          outliers(run)};
}

std::string row_of(const StateStatistics& states, const Kinds& kinds) {
  const std::vector<Run> runs = runs_of(states);
  std::vector<std::string> row = cells_of(*runs.front().value, kinds);
  if (runs.size() > 1) row.back() = runs.front().name + ": " + row.back();
  for (size_t i = 1; i < runs.size(); ++i) {
    const std::vector<std::string> own = cells_of(*runs[i].value, kinds);
    for (size_t column = 1; column + 1 < own.size(); ++column) row[column] += ", " + own[column];
    row.back() += "<br>" + runs[i].name + ": " + own.back();
  }
  std::string out;
  for (const std::string& cell : row) out += "<td>" + cell + "</td>";
  return out;
}

std::string table_caption(const Kinds& kinds, bool of_seeds) {
  std::string out =
      core::message("Tokens until what a token left in the state has fallen to 1/e, at ",
                    kinds.heads ? "a head's" : "an element's", " mean log-decay.");
  if (kinds.layers) {
    out += core::message(
        kinds.both() ? " Where layers are counted," : " Here",
        " every element of a layer's state has a decay of its own (Mamba-1): shortest and longest "
        "are those of all elements, median is the layers' median of their elements' medians "
        "(geometric means over sequences), and longer than the training length is a share of all "
        "elements.");
  }
  out += core::message(
      " Growing: the deviation at the end is more than twice that at the training length. "
      "Outliers: ",
      kinds.both() ? "heads or layers" : kinds.word() + "s",
      " whose deviation at the end (in brackets) stands out, modified z-score of its logarithm "
      "beyond ±3.5.");
  return out + (of_seeds ? " Of several seeds: the numbers of each, in their order." : "");
}

std::string table(const LinedUp<StateStatistics>& section, const Arms& arms, const Kinds& kinds) {
  const std::string words = kinds.both() ? "heads or layers" : kinds.word() + "s";
  const std::string what = kinds.both()   ? "heads and elements"
                           : kinds.layers ? "elements"
                                          : "heads";
  std::string out = "<h3>Memory of the " + what + "</h3>\n<p class=\"soft\">" +
                    table_caption(kinds, has_seeds(section.arms)) +
                    "</p>\n"
                    "<div class=\"narrow-scroll\"><table>\n<thead><tr><th scope=\"col\">arm</th>";
  out += "<th scope=\"col\">" + words + "</th>";
  for (const char* name : {"shortest", "median", "longest", "longer than the<br>training length",
                           "growing", "outliers"}) {
    out += std::string("<th scope=\"col\">") + name + "</th>";
  }
  out += "</tr></thead>\n<tbody>\n";
  for (size_t i = 0; i < arms.size(); ++i) {
    const StateStatistics* arm = section.arms[i];
    out += "<tr><th scope=\"row\">" + name_html(arms[i]) + "</th>" +
           (arm != nullptr ? row_of(*arm, kinds) : "<td colspan=\"7\">–</td>") + "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

/// What stands behind the number of a cell of the map of memories.
std::string element_note(const HeadStates& head) {
  if (!head.elements) return "";
  return " (median of its elements; shortest " + tokens(head.elements->shortest) + ", longest " +
         tokens(head.elements->longest) + ")";
}

/// One map a run, in the same colours. `value` of a head, with what it is called, and what is noted
/// behind it.
template <class Value, class Note>
std::string maps(const LinedUp<StateStatistics>& section, const Arms& arms,
                 const std::string& title, const std::string& unit, const Value& value,
                 const Note& note) {
  std::vector<std::string> captions, columns;
  std::vector<std::vector<HeatCell>> all;
  for (size_t i = 0; i < arms.size(); ++i) {
    if (section.arms[i] == nullptr) continue;
    for (const Run& run : runs_of(*section.arms[i])) {
      captions.push_back(escape_html(arms[i]) + (run.name.empty() ? "" : ", " + run.name));
      columns.push_back(has_elements(*run.value) ? "" : "head");
      all.emplace_back();
      for (const HeadStates& head : run.value->heads) {
        const double number = value(*run.value, head);
        const std::string text = short_number(number) + " " + unit + note(head);
        all.back().push_back(
            {.row = head.layer,
             .column = head.head,
             .value = number,
             .label = head_name(head) + ": " + (std::isnan(number) ? "not a number" : text)});
      }
    }
  }
  const HeatScale scale = scale_over(all);
  if (scale.high == 0) return "";
  std::string out =
      "<h3>" + title + "</h3>\n" + heat_legend(scale, unit) + "<div class=\"maps\">\n";
  for (size_t i = 0; i < all.size(); ++i) {
    out += "<figure><figcaption>" + captions[i] + "</figcaption>" +
           heat_map(all[i], scale, "layer", columns[i]) + "</figure>\n";
  }
  return out + "</div>\n";
}

}  // namespace

std::string states_html(const LinedUp<StateStatistics>& section, const Figures& figures,
                        size_t index) {
  const std::vector<std::string>& arms = figures.arms();
  std::string title = "States";
  if (!section.name.empty() && section.name != "states") title += ": " + section.name;
  const Kinds kinds = kinds_of(section);
  std::vector<Conditions> conditions;
  for (const StateStatistics* arm : section.arms) {
    if (arm != nullptr) conditions.push_back(conditions_of(*arm, arm->read));
  }
  return "<section>\n<h2>" + escape_html(title) + "</h2>\n" + conditions_html(conditions) +
         curves(section, figures, index) + table(section, arms, kinds) +
         maps(
             section, arms, "Memory of each " + kinds.word(), "tokens until 1/e",
             [](const StateStatistics&, const HeadStates& head) { return head.memory(); },
             element_note) +
         maps(section, arms,
              "Growth of each " + kinds.word() + "'s deviation past the training length",
              "times that at the training length", growth,
              [](const HeadStates&) { return std::string(); }) +
         "</section>\n";
}

}  // namespace longhaul::eval
