#include "eval/report_effrem.h"

#include <algorithm>
#include <cmath>

#include "eval/conditions.h"
#include "eval/estimate.h"
#include "eval/formatted.h"
#include "eval/html.h"
#include "eval/section.h"
#include "eval/sequences.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

/// Distances of all arms at one number of tokens left out or kept.
struct Column {
  std::string name;
  int64_t amount = 0;
  bool kept = false;  ///< else dropped
};

const EffRemPoint* point_at(const EffRem& arm, int64_t dropped) {
  for (const EffRemPoint& point : arm.points) {
    if (point.dropped == dropped) return &point;
  }
  return nullptr;
}

/// Among the columns of powers of two, unless no arm was measured there (older files).
void add_training_length(const LinedUp<EffRem>& section, int64_t trained,
                         std::vector<Column>& columns) {
  const bool measured = std::any_of(section.arms.begin(), section.arms.end(), [&](const auto* arm) {
    return arm != nullptr && point_at(*arm, arm->length - trained) != nullptr;
  });
  const auto after = std::find_if(columns.begin() + 1, columns.end(),
                                  [&](const Column& column) { return column.amount <= trained; });
  if (!measured || (after != columns.end() && after->amount == trained)) return;
  columns.insert(
      after, {.name = "last " + multiple_name(trained, trained), .amount = trained, .kept = true});
}

std::vector<Column> columns_of(const LinedUp<EffRem>& section) {
  std::vector<Column> columns{{.name = "first left out", .amount = 1, .kept = false}};
  int64_t length = 0;
  for (const EffRem* arm : section.arms) length = std::max(length, arm ? arm->length : 0);
  const int64_t trained = shortest_training(section.arms);
  for (int64_t kept = length / 2; kept >= 1; kept /= 4) {
    // Powers of two are measured.
    int64_t power = 1;
    while (power <= kept / 2) power *= 2;
    if (columns.size() > 5) break;
    columns.push_back({.name = trained > 0 ? "last " + multiple_name(power, trained)
                                           : "last " + position_name(power),
                       .amount = power,
                       .kept = true});
  }
  if (trained > 0) add_training_length(section, trained, columns);
  return columns;
}

const EffRemPoint* point_of(const EffRem& arm, const Column& column) {
  return point_at(arm, column.kept ? arm.length - column.amount : column.amount);
}

std::string with_error(const EffRemPoint& point) {
  if (!std::isfinite(point.distance)) return "not finite";
  const std::string value = formatted("%.4f", point.distance);
  return point.error > 0 ? value + formatted(" ± %.4f", point.error) : value;
}

std::string cell(const EffRemPoint& point) {
  if (!std::isfinite(point.distance)) return "not finite";
  const std::string value = formatted("%.3f", point.distance);
  return point.error > 0 ? value + formatted(" ± %.3f", point.error) : value;
}

std::string table(const LinedUp<EffRem>& section, const std::vector<std::string>& arms) {
  const std::vector<Column> columns = columns_of(section);
  std::string out =
      "<p class=\"soft\">Total variation distance to the prediction after the whole sequence, ± "
      "one " +
      error_name(section.arms, "standard error over sequences") +
      ". First column: without the first token; then from the last tokens alone.</p>\n<div "
      "class=\"narrow-scroll\"><table>\n<thead><tr><th "
      "scope=\"col\">arm</th>";
  for (const Column& column : columns) {
    out += core::message("<th scope=\"col\">", column.name, "<small>", column.amount,
                         column.amount == 1 ? " token" : " tokens", "</small></th>");
  }
  out += "</tr></thead>\n<tbody>\n";
  for (size_t i = 0; i < arms.size(); ++i) {
    out += "<tr><th scope=\"row\">" + name_html(arms[i]) + "</th>";
    for (const Column& column : columns) {
      const EffRemPoint* point =
          section.arms[i] != nullptr ? point_of(*section.arms[i], column) : nullptr;
      out += "<td>" + (point != nullptr ? cell(*point) : "–") + "</td>";
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

PlotLine line_of(int arm, const EffRem& effrem, bool kept) {
  PlotLine line{.arm = arm, .points = {}};
  for (const EffRemPoint& point : effrem.points) {
    const int64_t x = kept ? effrem.length - point.dropped : point.dropped;
    line.points.push_back({.x = static_cast<double>(x), .y = point.distance, .error = point.error});
  }
  if (kept) std::reverse(line.points.begin(), line.points.end());
  return line;
}

struct Judged {
  std::string arm;
  Estimate distance;
};

/// At a number of tokens that was measured.
Estimate distance_at(const EffRem& arm, int64_t dropped) {
  const auto of_run = [&](const EffRem& run) -> std::optional<Estimate> {
    const EffRemPoint* point = point_at(run, dropped);
    if (point == nullptr) return std::nullopt;
    return Estimate{.value = point->distance,
                    .error = point->error,
                    .by_sequence = deviations(std::vector<double>(point->by_sequence.size(), 1.0),
                                              point->by_sequence),
                    .sequences = sequences_read(run.measured)};
  };
  return estimate_of(arm, of_run).value_or(Estimate{});
}

/// What all but the last tokens of the training length change, over all arms.
std::string comparison(const std::vector<Judged>& judged, const std::string& seeds,
                       bool has_seeds) {
  if (judged.size() < 2) return "in total variation, 0 to 1.";
  const auto by_distance = [](const Judged& a, const Judged& b) {
    return a.distance.value < b.distance.value;
  };
  const auto [least, most] = std::minmax_element(judged.begin(), judged.end(), by_distance);
  const Comparison compared = compare(most->distance, least->distance);
  const std::optional<bool> apart = compared.apart;
  if (!apart) {
    return "whether arms differ is undecided: their standard errors are not known (one sequence "
           "says nothing of chance).";
  }
  if (!*apart) {
    return "by what lies before the last training length the arms are not told apart: " +
           formatted("%.3f in ", least->distance.value) + least->arm +
           formatted(", %.3f in ", most->distance.value) + most->arm + compared.text("%.3f") +
           " (" + seeds + ", by " + noise_name(has_seeds, compared.pairing == Pairing::kSequences) +
           ").";
  }
  return "what lies before the last training length weighs most in " + most->arm + " (" +
         formatted("%.3f", most->distance.value) + " in total variation), least in " + least->arm +
         formatted(" (%.3f)", least->distance.value) + compared.text("%.3f") + ".";
}

}  // namespace

std::string effrem_title(const LinedUp<EffRem>& section) {
  const std::string title = "Effective remembrance";
  return section.name.empty() || section.name == "effrem" ? title : title + ": " + section.name;
}

std::string effrem_html(const LinedUp<EffRem>& section, const Figures& figures, size_t index) {
  const std::vector<std::string>& arms = figures.arms();
  const std::string id = core::message("e", index);
  Plot dropped{.name = id + "dropped",
               .x_label = "tokens left out at the beginning",
               .over_positions = true,
               .marks = {},
               .lines = {}};
  Plot kept = dropped;
  kept.name = id + "kept";
  kept.x_label = "last tokens that are read";
  kept.marks = training_lengths(section.arms);
  std::vector<Conditions> conditions;
  for (size_t i = 0; i < arms.size(); ++i) {
    const EffRem* arm = section.arms[i];
    if (arm == nullptr) continue;
    conditions.push_back(conditions_of(*arm, arm->read));
    dropped.lines.push_back(line_of(static_cast<int>(i), *arm, false));
    kept.lines.push_back(line_of(static_cast<int>(i), *arm, true));
  }
  std::string out = "<section>\n<h2>" + escape_html(effrem_title(section)) + "</h2>\n";
  out += conditions_html(conditions);
  const std::string what =
      "Total variation distance between the predictions after the whole sequence and after its "
      "end alone, read from the zero state. Bands: ± one " +
      error_name(section.arms, "standard error over sequences") + ".";
  out += figures.figure(dropped, "Effect of the first tokens",
                        what +
                            " High from the left: the very first "
                            "tokens decide what is predicted at the end.");
  out += figures.figure(kept, "What the last tokens alone do not give", what);
  return out + table(section, arms) + "</section>\n";
}

std::vector<std::string> effrem_findings(const LinedUp<EffRem>& section,
                                         const std::vector<std::string>& arms) {
  std::vector<std::string> sentences{""};
  std::vector<Judged> judged;
  for (size_t i = 0; i < arms.size(); ++i) {
    const EffRem* arm = section.arms[i];
    if (arm == nullptr) continue;
    const EffRemPoint& first = arm->points.front();
    std::string sentence = core::message(arms[i], ": leaving out the first token of ", arm->length,
                                         " moves the prediction by ", with_error(first));
    const EffRemPoint* trained =
        arm->training_length > 0 ? point_at(*arm, arm->length - arm->training_length) : nullptr;
    if (trained != nullptr) {
      sentence += core::message(", all but the last ", arm->training_length,
                                " (its training length) by ", with_error(*trained));
      if (std::isfinite(trained->distance))
        judged.push_back({arms[i], distance_at(*arm, trained->dropped)});
    }
    sentences.push_back(sentence + ".");
  }
  sentences.front() = comparison(judged, seeds_name(section.arms), has_seeds(section.arms));
  return sentences;
}

}  // namespace longhaul::eval
