#include "launch/sweep/sweep_config.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "kernels/core/error.h"
#include "launch/evaluation_numbers.h"
#include "launch/field_list.h"
#include "launch/run_config.h"
#include "launch/sweep/measure_number.h"
#include "launch/yaml_document.h"
#include "launch/yaml_reader.h"
#include "trainer/step_report.h"

namespace longhaul::launch {

namespace {

using core::message;
using Kind = YamlNode::Kind;

constexpr size_t kMostConstraintBytes = 1000;

/// Keys of a run's YAML that a sweep may set.
std::vector<std::string> run_keys() {
  RunConfig config;
  FieldList list;
  config.visit(list);
  std::vector<std::string> keys;
  for (const auto& field : list.fields()) {
    if (!field.is_section) keys.push_back(field.path);
  }
  return keys;
}

/// As full as records get.
trainer::Numbers numbers_of(MetricRecord record) {
  if (record == MetricRecord::kTrain) return trainer::train_numbers({.loss = 0, .seconds = 1}, 1);
  return evaluation_numbers({.buckets = {{}}});
}

class SweepReader {
 public:
  SweepReader(YamlDocument& document, SweepConfig& config)
      : document_(document), config_(config), keys_(run_keys()) {}

  void read() {
    YamlReader reader(document_);
    config_.visit(reader);
    const YamlNode* values = reader.node("values");
    const YamlNode* arms = reader.node("arms");
    const YamlNode* measures = reader.node("measures");
    reader.finish();
    if (values != nullptr) read_values(*values);
    if (arms != nullptr) read_arms(*arms);
    if (measures != nullptr) {
      config_.measures = read_measures(document_, *measures);
      all_measures_ = config_.measures.size() == measures->values.size();
    }
    check(values, arms);
  }

 private:
  void report(const std::string& path, const std::string& what) {
    if (!document_.has_problem(path)) document_.report(document_.line_of(path), path, what);
  }

  bool is_usable_key(const std::string& key, int line) {
    std::string wrong;
    if (std::find(keys_.begin(), keys_.end(), key) == keys_.end()) {
      const std::string near = close_match(key, keys_);
      wrong = "is no key of a run's YAML" + (near.empty() ? "" : " (did you mean " + near + "?)");
    } else if (key == "run.folder" || key == "parallel.threads") {
      wrong = "is set by the sweep";
    } else if (key == "run.seed" && !config_.seeds.empty()) {
      wrong = "is given beside `seeds`";
    }
    if (!wrong.empty()) document_.report(line, key, wrong);
    return wrong.empty();
  }

  /// As an override's value; "" and a problem where it is none.
  std::string scalar_text(const YamlNode& node, const std::string& key) {
    if (node.kind != Kind::kScalar) {
      document_.report(node.line, key, expected(node, "a value"));
      return "";
    }
    return node.quoted ? yaml_text(node.text) : node.text;
  }

  void read_values(const YamlNode& node) {
    if (node.kind != Kind::kMapping) {
      document_.report(node.line, "values", expected(node, "keys with lists of values"));
      return;
    }
    for (size_t i = 0; i < node.keys.size(); ++i) {
      if (is_usable_key(node.keys[i], node.key_lines[i])) {
        read_choices(node.keys[i], document_.value(node, i));
      }
    }
  }

  void read_choices(const std::string& key, const YamlNode& node) {
    Choices choices{.key = key, .values = {}, .range = {}};
    if (node.kind == Kind::kMapping && config_.search == SearchKind::kRandom) {
      choices.range = read_range(key, node);
    } else if (node.kind == Kind::kSequence && !node.values.empty()) {
      for (size_t i = 0; i < node.values.size(); ++i) {
        choices.values.push_back(scalar_text(document_.value(node, i), key));
      }
    } else {
      const bool is_random = config_.search == SearchKind::kRandom;
      document_.report(
          node.line, key,
          expected(node, is_random ? "a list of values or {low, high}" : "a list of values"));
    }
    config_.values.push_back(std::move(choices));
  }

  ValueRange read_range(const std::string& key, const YamlNode& node) {
    ValueRange range{.low = std::nan(""), .high = std::nan("")};
    const auto wrong = [&](int line, const std::string& what) {
      document_.report(line, key, what);
    };
    for (size_t i = 0; i < node.keys.size(); ++i) {
      const YamlNode& value = document_.value(node, i);
      const std::string& name = node.keys[i];
      std::string problem;
      if (name == "low" || name == "high") {
        problem = read_scalar(value, name == "low" ? range.low : range.high);
      } else if (name == "scale") {
        size_t index = 0;
        problem = read_name(value, {"linear", "log"}, index);
        range.is_log = index == 1;
      } else if (name == "whole") {
        problem = read_scalar(value, range.is_whole);
      } else {
        problem = "unknown key, expected low, high, scale or whole";
      }
      if (!problem.empty()) wrong(node.key_lines[i], message(name, ": ", problem));
    }
    const bool is_finite = std::isfinite(range.low) && std::isfinite(range.high);
    if (!is_finite || range.low >= range.high) {
      wrong(node.line, "expected finite low and high, low below high");
    } else if (range.is_log && range.low <= 0) {
      wrong(node.line, "scale: log needs a low above 0");
    } else if (range.is_whole && (std::abs(range.low) > 1e15 || std::abs(range.high) > 1e15)) {
      wrong(node.line, "whole: expected bounds within 1e15");
    } else if (range.is_whole && std::ceil(range.low) > std::floor(range.high)) {
      wrong(node.line, "whole: expected a whole number between low and high");
    }
    return range;
  }

  void read_arms(const YamlNode& node) {
    if (node.kind != Kind::kSequence) {
      document_.report(node.line, "arms", expected(node, "a list of arms"));
      return;
    }
    for (size_t i = 0; i < node.values.size(); ++i) {
      const YamlNode& arm = document_.value(node, i);
      if (arm.kind != Kind::kMapping) {
        document_.report(arm.line, "arms", expected(arm, "keys with values"));
        continue;
      }
      Assignment assignment;
      for (size_t j = 0; j < arm.keys.size(); ++j) {
        if (!is_usable_key(arm.keys[j], arm.key_lines[j])) continue;
        assignment.emplace_back(arm.keys[j], scalar_text(document_.value(arm, j), arm.keys[j]));
      }
      config_.arms.push_back(std::move(assignment));
    }
  }

  /// Whether an unknown key was probably meant to be `name`: then nothing is said of its absence.
  bool is_mistyped(const char* name) const {
    const auto& keys = document_.root().keys;
    return std::any_of(keys.begin(), keys.end(), [&](const std::string& key) {
      return document_.has_problem(key) && !close_match(key, {name}).empty();
    });
  }

  void require_entries(const char* name, const YamlNode* node) {
    const bool is_empty = node == nullptr || node->values.empty();
    if (is_empty && !is_mistyped(name)) report(name, "is not given or empty");
  }

  void check(const YamlNode* values, const YamlNode* arms) {
    if (config_.base.empty()) report("base", "is not given, expected the YAML of a run");
    if (config_.folder.empty()) report("folder", "is not given, expected the sweep's folder");
    const bool is_list = config_.search == SearchKind::kList;
    if (is_list && values != nullptr)
      report("values", "is given, but search is list: expected `arms`");
    if (!is_list && arms != nullptr) report("arms", "is given, but search is not list");
    is_list ? require_entries("arms", arms) : require_entries("values", values);
    const auto& seeds = config_.seeds;
    if (std::set(seeds.begin(), seeds.end()).size() != seeds.size()) {
      report("seeds", "holds a seed twice");
    }
    if (std::any_of(seeds.begin(), seeds.end(), [](int64_t seed) { return seed < 0; })) {
      report("seeds", "must be at least 0");
    }
    const auto& steps = config_.halving.steps;
    for (size_t i = 0; i < steps.size(); ++i) {
      if (steps[i] <= (i == 0 ? 0 : steps[i - 1]))
        report("halving.steps", "must rise from above 0");
    }
    for (const std::string& constraint : config_.constraints) {
      if (constraint.size() > kMostConstraintBytes)
        report("constraints", "holds one that is too long");
    }
    check_measures();
    config_.metric.measure.empty() ? check_metric() : check_measured_metric();
    choose_goal();
    check_slurm();
  }

  void check_measures() {
    for (const MeasureConfig& measure : config_.measures) {
      for (const int64_t share : measure.numbers("sequence-ranks")) {
        if (config_.ranks % share == 0) continue;
        report("measures", message(measure.name, ": sequence_ranks is ", share,
                                   ", expected what divides ranks, ", config_.ranks));
      }
    }
  }

  void check_measured_metric() {
    const MetricConfig& metric = config_.metric;
    if (document_.has("metric.record")) report("metric.record", "is given beside metric.measure");
    if (document_.has("metric.window")) report("metric.window", "is given beside metric.measure");
    if (!config_.halving.steps.empty()) {
      report("halving.steps", "is given, but metric.measure is there after the last step only");
    }
    const MeasureConfig* measure = metric_measure(config_);
    if (measure == nullptr) {
      std::string all;
      for (const auto& one : config_.measures) all += (all.empty() ? "" : ", ") + one.name;
      if (!all_measures_) return;  // it may be one that was reported
      report("metric.measure", message("found '", metric.measure, "', expected ",
                                       all.empty() ? "a name out of `measures`" : all));
      return;
    }
    const MeasureNumber number{.name = metric.name, .at = metric.at};
    const std::string wrong = wrong_number_name(*measure, number);
    if (!wrong.empty()) {
      report("metric.name", wrong);
      return;
    }
    const std::string wrong_place = wrong_number_place(*measure, number);
    if (!wrong_place.empty()) report("metric.at", wrong_place);
  }

  void check_metric() {
    if (document_.has("metric.at")) report("metric.at", "is given without metric.measure");
    const trainer::Numbers numbers = numbers_of(config_.metric.record);
    std::vector<std::string_view> names;
    for (const auto& [name, value] : numbers) names.emplace_back(name);
    YamlNode given;
    given.kind = Kind::kScalar;
    given.text = config_.metric.name;
    size_t index = 0;
    const std::string wrong = read_name(given, names, index);
    if (!wrong.empty()) report("metric.name", wrong);
  }

  /// The metric's own, where it has one.
  void choose_goal() {
    MetricConfig& metric = config_.metric;
    const auto begins = [&](const char* word) { return metric.name.starts_with(word); };
    const bool is_share = begins("accuracy") || begins("exact");
    const bool is_loss = begins("loss") || begins("perplexity");
    const bool is_given = document_.has("metric.goal");
    if (!is_given && is_share) metric.goal = MetricGoal::kMaximize;
    if (!is_given) return;
    const bool maximizes = metric.goal == MetricGoal::kMaximize;
    if (is_share && !maximizes) {
      report("metric.goal", message("found minimize, but of ", metric.name, " more is better"));
    }
    if (is_loss && maximizes) {
      report("metric.goal", message("found maximize, but of ", metric.name, " less is better"));
    }
  }

  /// They become words of a shell script's comment lines: nothing may end the line or the word.
  void check_slurm() {
    const auto is_word = [](const std::string& text) {
      return std::all_of(text.begin(), text.end(),
                         [](unsigned char c) { return c > ' ' && c < 127; });
    };
    if (!is_word(config_.slurm.time)) report("slurm.time", "must be one word");
    if (!is_word(config_.slurm.partition)) report("slurm.partition", "must be one word");
    for (const std::string& option : config_.slurm.options) {
      if (!is_word(option) || option.rfind("--", 0) != 0) {
        report("slurm.options", message("found '", option, "', expected words that begin with --"));
      }
    }
  }

  YamlDocument& document_;
  SweepConfig& config_;
  std::vector<std::string> keys_;
  bool all_measures_ = true;
};

}  // namespace

std::string MetricConfig::title() const {
  if (measure.empty()) return name;
  return name + (at > 0 ? message(" at ", at) : "") + " (" + measure + ")";
}

const MeasureConfig* metric_measure(const SweepConfig& sweep) {
  if (sweep.metric.measure.empty()) return nullptr;
  const auto found =
      std::find_if(sweep.measures.begin(), sweep.measures.end(),
                   [&](const MeasureConfig& one) { return one.name == sweep.metric.measure; });
  return found != sweep.measures.end() ? &*found : nullptr;
}

SweepConfig parse_sweep_config(const std::string& yaml_text, const std::string& name,
                               const std::vector<std::string>& overrides) {
  YamlDocument document(yaml_text, name);
  for (const auto& assignment : overrides) document.override_value(assignment);
  SweepConfig config;
  SweepReader(document, config).read();
  const core::Problems problems = document.problems();
  if (!problems.empty()) throw core::InputError(problems);
  return config;
}

SweepConfig read_sweep_config(const std::string& path, const std::vector<std::string>& overrides) {
  return parse_sweep_config(read_yaml_text(path, "a sweep"), path, overrides);
}

}  // namespace longhaul::launch
