#include "eval/report_tables.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "eval/conditions.h"
#include "eval/estimate.h"
#include "eval/html.h"
#include "eval/sequences.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

std::string shown(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return std::isfinite(value) ? text : "not finite";
}

std::string with_error(const std::string& value, const char* format, double error) {
  return error > 0 ? value + " ± " + shown(format, error) : value;
}

/// The arm with the best bucket there, or nullptr.
const PositionCurve* best_of(const Section& section, const LengthColumn& column) {
  const PositionCurve* best = nullptr;
  double least = std::numeric_limits<double>::infinity();
  for (const PositionCurve* curve : section.curves) {
    const Bucket* bucket =
        curve != nullptr ? find_bucket(*curve, column.begin, column.end) : nullptr;
    if (bucket == nullptr || !std::isfinite(bucket->loss)) continue;
    if (best != nullptr && score(section.task, *bucket) >= least) continue;
    best = curve;
    least = score(section.task, *bucket);
  }
  return best;
}

/// "● " for the best, "○ " for what does not differ from it, beyond noise.
std::string mark_of(const LengthColumn& column, const PositionCurve& curve,
                    const PositionCurve* best) {
  if (best == nullptr) return "";
  if (&curve == best) return "● ";
  const auto own = score_at(curve, column.begin, column.end),
             least = score_at(*best, column.begin, column.end);
  if (!own || !least || !std::isfinite(own->value)) return "";
  return differ(*own, *least).value_or(true) ? "" : "○ ";
}

/// Of an arm, or of a reference, which is not compared with others.
std::string cell(const Section& section, const LengthColumn& column, const PositionCurve* curve,
                 bool compared) {
  const Bucket* bucket = curve != nullptr ? find_bucket(*curve, column.begin, column.end) : nullptr;
  if (bucket == nullptr) return column.beyond ? "<td class=\"beyond\">–</td>" : "<td>–</td>";
  const PositionCurve* best = compared ? best_of(section, column) : nullptr;
  const std::string classes =
      std::string(column.beyond ? "beyond" : "") + (best == curve ? " best" : "");
  const std::string mark = mark_of(column, *curve, best);
  const bool recall = section.task == "recall";
  std::string main, minor;
  if (recall) {
    main = with_error(shown("%.1f", 100 * bucket->accuracy), "%.1f", 100 * bucket->accuracy_error) +
           " %";
    minor = "loss " + with_error(shown("%.3f", bucket->loss), "%.3f", bucket->loss_error);
  } else {
    main = shown("%.4g", std::exp(bucket->loss));
    minor = with_error(shown("%.3f", bucket->loss), "%.3f", bucket->loss_error) + "<br>" +
            shown("%.1f", 100 * bucket->accuracy) + " %";
  }
  return "<td class=\"" + classes + "\">" + mark + main + "<small>" + minor + "</small></td>";
}

/// A row of the table.
std::string row(const Section& section, const std::vector<LengthColumn>& columns,
                const std::string& name, const PositionCurve* curve, bool compared) {
  std::string out = "<tr><th scope=\"row\">" + name_html(name) + "</th>";
  for (const LengthColumn& column : columns) out += cell(section, column, curve, compared);
  return out + "</tr>\n";
}

}  // namespace

std::string length_table(const Section& section, const std::vector<std::string>& arms) {
  const std::vector<LengthColumn> columns = length_columns(section);
  if (columns.empty()) return "";
  const bool recall = section.task == "recall";
  std::string out = "<p class=\"soft\">";
  out += recall
             ? "Accuracy, beneath it the loss in nats"
             : "Perplexity, beneath it the loss in nats and the accuracy of the most likely token";
  out += "; ± one " + error_name(section.curves, "standard error over sequences") +
         ". ● best, ○ not told apart from the best, by " +
         noise_name(has_seeds(section.curves), true) + ".";
  if (section.training_length > 0) out += " Columns: multiples of the training length";
  out += section.training_length > 0 ? " and the positions measured there; shaded: beyond it."
                                     : " Columns: the positions measured.";
  out += "</p>\n<div class=\"narrow-scroll\"><table>\n<thead><tr><th scope=\"col\">arm</th>";
  for (const LengthColumn& column : columns) {
    out +=
        core::message("<th scope=\"col\"", column.beyond ? " class=\"beyond\">" : ">", column.name,
                      "<small>", column.begin, "–", column.end - 1, "</small></th>");
  }
  out += "</tr></thead>\n<tbody>\n";
  for (size_t i = 0; i < arms.size(); ++i) {
    out += row(section, columns, arms[i], section.curves[i], true);
    for (const Reference& reference : section.references) {
      if (reference.arm != i) continue;
      out += row(section, columns, arms[i] + ", " + windows_name(*reference.curve), reference.curve,
                 false);
    }
  }
  return out + "</tbody></table></div>\n";
}

std::string configuration_table(const std::vector<RunFolder>& runs,
                                const std::vector<std::string>& arms) {
  std::vector<const Configuration*> known;
  for (const RunFolder& run : runs) {
    if (!run.configuration.empty()) known.push_back(&run.configuration);
  }
  if (known.empty()) return "<p>No run has a run.yaml.</p>\n";
  const std::vector<std::string> keys = differing_keys(known);
  std::string out;
  if (keys.empty()) {
    out = known.size() == 1 ? "<p>One run.yaml only: nothing to compare.</p>\n"
                            : "<p>The configurations are the same.</p>\n";
  } else {
    out =
        "<div class=\"narrow-scroll\"><table class=\"text\">\n<thead><tr><th scope=\"col\">key"
        "</th>";
    for (size_t i = 0; i < arms.size(); ++i) {
      if (!runs[i].configuration.empty()) {
        out += "<th scope=\"col\">" + name_html(arms[i]) + "</th>";
      }
    }
    out += "</tr></thead>\n<tbody>\n";
    for (const std::string& key : keys) {
      out += "<tr><th scope=\"row\"><code>" + name_html(key) + "</code></th>";
      for (const Configuration* configuration : known) {
        const std::string* value = find_value(*configuration, key);
        out += "<td>";
        out += value != nullptr ? "<code>" + escape_html(*value) + "</code>" : "–";
        out += "</td>";
      }
      out += "</tr>\n";
    }
    out += "</tbody></table></div>\n";
  }
  std::string shared;
  for (const auto& [key, value] : *known.front()) {
    if (key == "run.folder" || std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
    shared += "<tr><th scope=\"row\"><code>" + name_html(key) + "</code></th><td><code>" +
              escape_html(value) + "</code></td></tr>\n";
  }
  if (shared.empty()) return out;
  return out + "<details><summary>What they share</summary><table class=\"text\"><tbody>\n" +
         shared + "</tbody></table></details>\n";
}

}  // namespace longhaul::eval
