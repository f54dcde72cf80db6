#include "launch/sweep/sweep_report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "eval/csv.h"
#include "eval/html.h"
#include "eval/plot.h"
#include "kernels/core/error.h"
#include "launch/run_status.h"
#include "launch/sweep/sweep_run.h"
#include "launch/text_table.h"
#include "launch/yaml_reader.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;
using core::message;

void add_new(const std::vector<std::string>& names, std::vector<std::string>& all) {
  for (const std::string& name : names) {
    if (std::find(all.begin(), all.end(), name) == all.end()) all.push_back(name);
  }
}

RecipeResult result_of(const SweepConfig& sweep, const Recipe& recipe,
                       const std::vector<ArmProgress>& progress, int64_t ended_at) {
  RecipeResult result{.recipe = &recipe, .step = INT64_MAX};
  bool failed = false, failed_training = false, done = true, is_final = true;
  std::vector<double> values;
  for (size_t i = 0; i < recipe.arms.size(); ++i) {
    const int64_t step = ended_at > 0 ? ended_at : progress[i].step;
    failed = failed || progress[i].has_failed;
    failed_training = failed_training || progress[i].has_failed_training();
    done = done && progress[i].is_complete();
    is_final =
        is_final && progress[i].is_done && (progress[i].is_complete() || progress[i].has_failed);
    add_new(progress[i].failed_measures, result.failed_measures);
    result.step = std::min(result.step, step);
    if (const auto value = arm_metric(sweep, recipe.arms[i], step)) values.push_back(*value);
  }
  result.state = failed         ? RecipeState::kFailed
                 : done         ? RecipeState::kDone
                 : ended_at > 0 ? RecipeState::kEnded
                                : RecipeState::kOpen;
  result.is_final = is_final;
  if (failed_training) result.failed_measures.clear();
  if (failed_training || values.size() != recipe.arms.size()) return result;
  double sum = 0, squares = 0;
  const auto count = static_cast<double>(values.size());
  for (const double value : values) sum += value;
  result.metric = sum / count;
  for (const double value : values) squares += std::pow(value - *result.metric, 2);
  if (values.size() > 1) result.deviation = std::sqrt(squares / (count - 1));
  return result;
}

bool is_better(const SweepConfig& sweep, const RecipeResult& a, const RecipeResult& b) {
  const auto rank = [](const RecipeResult& result) {
    if (!result.metric) return result.state == RecipeState::kFailed ? 3 : 2;
    return result.is_final ? 0 : 1;
  };
  if (rank(a) != rank(b)) return rank(a) < rank(b);
  if (rank(a) > 0 && a.step != b.step) return a.step > b.step;
  if (!a.metric) return false;
  return sweep.metric.goal == MetricGoal::kMinimize ? *a.metric < *b.metric : *a.metric > *b.metric;
}

std::string number(const std::optional<double>& value) {
  std::array<char, 32> text{};
  if (!value) return "-";
  std::snprintf(text.data(), text.size(), "%.6g", *value);
  return text.data();
}

std::string state_text(const RecipeResult& result) {
  switch (result.state) {
    case RecipeState::kOpen:
      return "open";
    case RecipeState::kDone:
      return "done";
    case RecipeState::kEnded:
      return "ended";
    case RecipeState::kFailed:
      return "failed";
  }
  return "";
}

/// Keys of all recipes, in the order of their first appearance.
std::vector<std::string> keys_of(const std::vector<RecipeResult>& results) {
  std::vector<std::string> keys;
  for (const RecipeResult& result : results) {
    for (const auto& [key, value] : result.recipe->values) {
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
    }
  }
  return keys;
}

const std::string* value_of(const Recipe& recipe, const std::string& key) {
  for (const auto& [name, value] : recipe.values) {
    if (name == key) return &value;
  }
  return nullptr;
}

std::optional<double> number_of(const Recipe& recipe, const std::string& key) {
  const std::string* text = value_of(recipe, key);
  if (text == nullptr) return std::nullopt;
  YamlNode node;
  node.kind = YamlNode::Kind::kScalar;
  node.text = *text;
  double value = 0;
  return read_scalar(node, value).empty() && std::isfinite(value) ? std::optional(value)
                                                                  : std::nullopt;
}

std::string joined(const std::vector<std::string>& names) {
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  return all;
}

/// "failed: passkey" where that alone failed, and the recipe is ranked all the same.
std::string state_with_measures(const RecipeResult& result) {
  const bool has_names = result.state == RecipeState::kFailed && !result.failed_measures.empty();
  return state_text(result) + (has_names ? ": " + joined(result.failed_measures) : "");
}

std::vector<std::vector<std::string>> table_rows(const SweepConfig& sweep,
                                                 const std::vector<RecipeResult>& results) {
  const std::vector<std::string> keys = keys_of(results);
  std::vector<std::vector<std::string>> rows{{"recipe", "state", "step", sweep.metric.title()}};
  const bool has_seeds = sweep.seeds.size() > 1;
  if (has_seeds) rows[0].emplace_back("deviation");
  rows[0].insert(rows[0].end(), keys.begin(), keys.end());
  for (const RecipeResult& result : results) {
    std::vector<std::string> row{result.recipe->name, state_with_measures(result),
                                 std::to_string(result.step), number(result.metric)};
    if (has_seeds) row.push_back(result.metric ? number(result.deviation) : "-");
    for (const std::string& key : keys) {
      const std::string* value = value_of(*result.recipe, key);
      row.push_back(value != nullptr ? *value : "-");
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string html_table(const std::vector<std::vector<std::string>>& rows) {
  std::string out = "<div class=\"narrow-scroll\"><table>\n";
  for (size_t i = 0; i < rows.size(); ++i) {
    out += i == 0 ? "<thead><tr>" : "<tr>";
    for (size_t j = 0; j < rows[i].size(); ++j) {
      const std::string tag = i == 0 || j == 0 ? "th" : "td";
      out += "<" + tag + ">" + eval::escape_html(rows[i][j]) + "</" + tag + ">";
    }
    out += i == 0 ? "</tr></thead>\n<tbody>\n" : "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

/// Names of colours: the values of the first key that is not all numbers; one colour without it.
struct Colours {
  std::string key;
  std::vector<std::string> values;

  explicit Colours(const std::vector<RecipeResult>& results) {
    for (const std::string& candidate : keys_of(results)) {
      const bool all_numbers =
          std::all_of(results.begin(), results.end(), [&](const RecipeResult& result) {
            return number_of(*result.recipe, candidate).has_value();
          });
      if (all_numbers) continue;
      key = candidate;
      break;
    }
    for (const RecipeResult& result : results) {
      const std::string value = text_of(*result.recipe);
      if (std::find(values.begin(), values.end(), value) == values.end()) values.push_back(value);
    }
  }
  std::string text_of(const Recipe& recipe) const {
    const std::string* value = value_of(recipe, key);
    return value != nullptr ? *value : "";
  }
  std::string legend() const {
    if (key.empty()) return "";
    std::string out = "<ul class=\"legend\">";
    for (size_t i = 0; i < values.size(); ++i) {
      out += message("<li><svg class=\"swatch\" viewBox=\"0 0 38 12\" aria-hidden=\"true\">",
                     "<circle cx=\"19\" cy=\"6\" r=\"5\" fill=\"var(--arm-",
                     i % static_cast<size_t>(eval::kArmColours), ")\"/></svg><span>",
                     eval::escape_html(values[i]), "</span></li>");
    }
    return out + "</ul>\n";
  }
};

eval::Plot scatter(const std::string& key, size_t index, const std::vector<RecipeResult>& results,
                   const Colours& colours) {
  eval::Plot plot{.name = message("k", index), .x_label = key, .marks = {}, .lines = {}};
  plot.as_points = true;
  plot.wide_range_is_log = true;
  double low = INFINITY, high = -INFINITY;
  for (size_t arm = 0; arm < colours.values.size(); ++arm) {
    eval::PlotLine line{.arm = static_cast<int>(arm), .points = {}};
    for (const RecipeResult& result : results) {
      const auto x = number_of(*result.recipe, key);
      if (!x || !result.metric || colours.text_of(*result.recipe) != colours.values[arm]) continue;
      line.points.push_back({.x = *x, .y = *result.metric, .error = result.deviation});
      low = std::min(low, *x);
      high = std::max(high, *x);
    }
    if (!line.points.empty()) plot.lines.push_back(std::move(line));
  }
  constexpr double kWide = 8;  // a factor that a linear axis squeezes
  plot.x_is_log = low > 0 && high >= kWide * low;
  return plot;
}

std::string arm_state(const SweepConfig& sweep, const Arm& arm, const ArmProgress& progress,
                      RunState run) {
  if (progress.has_failed) return "failed";
  if (run != RunState::kDone || progress.missing == nullptr) return std::string(name_of(run));
  const bool is_now = progress.record.measuring == progress.missing->name;
  return is_now && is_arm_running(sweep, arm.name) ? "measuring" : "trained";
}

}  // namespace

std::vector<RecipeResult> sweep_results(const SweepConfig& sweep, const ArmList& list,
                                        const Standing& standing) {
  std::vector<RecipeResult> results;
  for (size_t i = 0; i < list.recipes.size(); ++i) {
    results.push_back(result_of(sweep, list.recipes[i], standing.arms[i], standing.ended_at[i]));
  }
  std::stable_sort(results.begin(), results.end(),
                   [&](const auto& a, const auto& b) { return is_better(sweep, a, b); });
  return results;
}

std::string arm_table(const SweepConfig& sweep, const ArmList& list, const Standing& standing) {
  std::vector<std::string> titles{"arm", "state", "step", sweep.metric.title(), "left", "failures"};
  if (!sweep.measures.empty()) titles.emplace_back("measured");
  TextTable table(titles);
  std::string reasons;
  for (size_t i = 0; i < list.recipes.size(); ++i) {
    for (size_t j = 0; j < list.recipes[i].arms.size(); ++j) {
      const Arm& arm = list.recipes[i].arms[j];
      const ArmProgress& progress = standing.arms[i][j];
      const fs::path folder = arm_folder(sweep, arm.name);
      RunStatus status{.name = arm.name, .steps = arm.config.schedule.steps};
      if (fs::exists(folder / "run.yaml")) status = read_run_status(folder);
      const bool is_ended = standing.ended_at[i] > 0 && !progress.is_done;
      const std::string state = is_ended ? "ended" : arm_state(sweep, arm, progress, status.state);
      const bool goes_on = !progress.has_failed && !is_ended && status.seconds_left.has_value();
      std::vector<std::string> row{arm.name,
                                   state,
                                   message(status.step, "/", status.steps),
                                   number(arm_metric(sweep, arm, status.step)),
                                   goes_on ? duration_text(*status.seconds_left) : "-",
                                   std::to_string(progress.record.failures)};
      if (!sweep.measures.empty()) {
        row.push_back(message(progress.measured, "/", sweep.measures.size()));
      }
      table.add(std::move(row));
      if (progress.record.failures > 0) {
        reasons += message(arm.name, ": last failure: ", progress.record.failure, ", see ",
                           log_file(sweep, arm.name).string(), "\n");
      }
    }
  }
  return table.text() + reasons;
}

std::string recipe_table(const SweepConfig& sweep, const std::vector<RecipeResult>& results) {
  const auto rows = table_rows(sweep, results);
  TextTable table(rows.front());
  for (size_t i = 1; i < rows.size(); ++i) table.add(rows[i]);
  return table.text();
}

std::string report_page(const SweepConfig& sweep, const std::vector<RecipeResult>& results) {
  const std::string title = "Sweep " + sweep.folder;
  const char* goal = sweep.metric.goal == MetricGoal::kMinimize ? "lowest" : "highest";
  std::string body = "<h1>" + eval::escape_html(title) + "</h1>\n";
  body += "<p class=\"soft\">" + eval::escape_html(sweep.metric.title()) + ", " + goal +
          " first; recipes that are done come before others, those without a value last. Where "
          "only other "
          "measures failed, the recipe keeps its place.</p>\n" +
          html_table(table_rows(sweep, results));
  const Colours colours(results);
  const std::vector<std::string> keys = keys_of(results);
  for (size_t i = 0; i < keys.size(); ++i) {
    const eval::Plot plot = scatter(keys[i], i, results, colours);
    if (!eval::has_points(plot)) continue;
    body += "<figure>\n<h3>" + eval::escape_html(sweep.metric.title() + " over " + keys[i]) +
            "</h3>\n" + colours.legend() + eval::draw(plot) + "<figcaption>" +
            (colours.key.empty() ? "" : "Colours: " + eval::escape_html(colours.key) + ". ") +
            (sweep.seeds.size() > 1 ? "Bars: ± one standard deviation over seeds." : "") +
            "</figcaption>\n</figure>\n";
  }
  return eval::html_page(title, body);
}

void write_sweep_csv(const fs::path& folder, const SweepConfig& sweep,
                     const std::vector<RecipeResult>& results) {
  using Cells = std::vector<eval::CsvCell>;
  const std::vector<std::string> keys = keys_of(results);
  std::vector<std::string> columns{"recipe", "state",     "step", "metric",
                                   "value",  "deviation", "arms", "failed_measures"};
  columns.insert(columns.end(), keys.begin(), keys.end());
  eval::CsvTable recipes(columns);
  eval::CsvTable arms({"recipe", "arm", "seed", "step", "metric", "value", "failures"});
  const std::string metric = sweep.metric.title();
  const auto cell = [](const std::optional<double>& value) {
    return value ? eval::CsvCell(*value) : eval::CsvCell("");
  };
  for (const RecipeResult& result : results) {
    const Recipe& recipe = *result.recipe;
    const bool has_deviation = result.metric && recipe.arms.size() > 1;
    Cells row{recipe.name,
              state_text(result),
              result.step,
              metric,
              cell(result.metric),
              cell(has_deviation ? std::optional(result.deviation) : std::nullopt),
              std::ssize(recipe.arms),
              joined(result.failed_measures)};
    for (const std::string& key : keys) {
      const std::string* value = value_of(recipe, key);
      row.emplace_back(value != nullptr ? *value : "");
    }
    recipes.add(row);
    for (const Arm& arm : recipe.arms) {
      const ArmProgress progress = read_progress(sweep, arm);
      const int64_t step = result.state == RecipeState::kEnded ? result.step : progress.step;
      arms.add({recipe.name, arm.name, arm.config.run.seed, step, metric,
                cell(arm_metric(sweep, arm, step)), progress.record.failures});
    }
  }
  recipes.write(folder / "recipes.csv");
  arms.write(folder / "arms.csv");
}

std::optional<std::string> best_recipe_yaml(const SweepConfig& sweep,
                                            const std::vector<RecipeResult>& results) {
  if (results.empty()) return std::nullopt;
  const RecipeResult& best = results.front();
  if (!best.is_final || !best.metric) return std::nullopt;
  RunConfig config = best.recipe->arms.front().config;
  config.run.folder = (fs::path(sweep.folder) / "best").string();
  return message("# The best recipe of a sweep: ", best.recipe->name, ", ", sweep.metric.title(),
                 " ", number(best.metric), ".\n", to_yaml(config));
}

}  // namespace longhaul::launch
