#include "launch/run_config.h"

#include <glog/logging.h>

#include <algorithm>
#include <initializer_list>
#include <string_view>

#include "kernels/core/error.h"
#include "launch/field_list.h"
#include "launch/run_rules.h"
#include "launch/yaml_document.h"
#include "launch/yaml_reader.h"

namespace longhaul::launch {

using core::InputError;
using core::message;

namespace {

FieldList list_fields(const RunConfig& config) {
  RunConfig copy = config;  // visit() is for readers and writers, hence not const
  FieldList list;
  copy.visit(list);
  return list;
}

bool starts_with(const std::string& text, std::string_view beginning) {
  return text.compare(0, beginning.size(), beginning) == 0;
}

/// model.shape says nothing where model.from names the model.
bool is_ignored(const RunConfig& config, const std::string& path) {
  return !config.model.from.empty() && starts_with(path, "model.shape");
}

bool is_one_of(std::string_view path, std::initializer_list<std::string_view> paths) {
  return std::find(paths.begin(), paths.end(), path) != paths.end();
}

/// What a field does to the numbers of a run.
enum class Effect : uint8_t { kNone, kRounding, kComputation };

Effect effect_of(const std::string& path) {
  if (is_one_of(path, {"parallel.data", "parallel.sequence", "parallel.exchange", "run.device"})) {
    return Effect::kRounding;
  }
  if (path == "parallel.gradient") return Effect::kComputation;
  // Data is known by its fingerprint, wherever it lies; a resumed run's parameters come from its
  // checkpoint.
  const bool is_free = starts_with(path, "checkpoint.") || starts_with(path, "evaluation.") ||
                       starts_with(path, "parallel.") ||
                       is_one_of(path, {"run.folder", "run.log_every", "data.recompute",
                                        "data.folder", "data.tokenizer", "data.other_tokenizer",
                                        "data.skip_bad_rows", "model.from"}) ||
                       is_path_of_task(path);
  return is_free ? Effect::kNone : Effect::kComputation;
}

/// Paths of the fields that differ, of those that `counts` is true of.
template <class Counts>
std::vector<std::string> differences(const RunConfig& a, const RunConfig& b, const Counts& counts) {
  const FieldList first = list_fields(a);
  const FieldList second = list_fields(b);
  std::vector<std::string> keys;
  for (size_t i = 0; i < first.fields().size(); ++i) {
    const auto& field = first.fields()[i];
    const bool is_compared = !field.is_section && counts(field.path) &&
                             !(is_ignored(a, field.path) || is_ignored(b, field.path));
    if (is_compared && field.value != second.fields()[i].value) keys.push_back(field.path);
  }
  return keys;
}

std::vector<std::string> differences(const RunConfig& a, const RunConfig& b, Effect effect) {
  return differences(a, b, [&](const std::string& path) { return effect_of(path) == effect; });
}

constexpr uint64_t kFnvOffset = 14695981039346656037ull;
constexpr uint64_t kFnvPrime = 1099511628211ull;

}  // namespace

const std::vector<std::string_view>& enum_names(DataKind) {
  static const std::vector<std::string> owned = [] {
    std::vector<std::string> names{"tokens", "recall"};
    for (const auto& kind : task_kinds()) names.push_back(kind->name());
    return names;
  }();
  static const std::vector<std::string_view> names(owned.begin(), owned.end());
  return names;
}

const char* data_kinds_help() {
  static const std::string help = [] {
    std::string all;
    for (const std::string_view name : enum_names(DataKind{})) {
      all += (all.empty() ? "" : " | ") + std::string(name);
    }
    return all;
  }();
  return help.c_str();
}

DataKind data_kind(std::string_view name) {
  const auto& names = enum_names(DataKind{});
  const auto found = std::find(names.begin(), names.end(), name);
  CHECK(found != names.end()) << name;
  return static_cast<DataKind>(found - names.begin());
}

RunConfig parse_run_config(const std::string& yaml_text, const std::string& name,
                           const std::vector<std::string>& overrides) {
  YamlDocument document(yaml_text, name);
  for (const auto& assignment : overrides) document.override_value(assignment);
  RunConfig config;
  YamlReader reader(document);
  config.visit(reader);
  reader.finish();
  check_rules(config, document);
  const core::Problems problems = document.problems();
  if (!problems.empty()) throw InputError(problems);
  return config;
}

RunConfig read_run_config(const std::string& path, const std::vector<std::string>& overrides) {
  return parse_run_config(read_yaml_text(path, "a run"), path, overrides);
}

std::string to_yaml(const RunConfig& config) {
  const FieldList list = list_fields(config);
  std::string text;
  for (const auto& field : list.fields()) {
    if (is_ignored(config, field.path)) continue;
    const auto depth = std::count(field.path.begin(), field.path.end(), '.');
    const std::string name = field.path.substr(field.path.rfind('.') + 1);
    std::string line = std::string(static_cast<size_t>(2 * depth), ' ') + name + ":";
    if (!field.is_section) {
      line += " " + field.value;
      line.resize(std::max<size_t>(line.size(), 34), ' ');
      line += "  # " + field.help;
    } else if (depth == 0 && !text.empty()) {
      text += "\n";
    }
    text += line + "\n";
  }
  return text;
}

uint64_t computation_hash(const RunConfig& config) {
  const FieldList list = list_fields(config);
  uint64_t hash = kFnvOffset;
  for (const auto& field : list.fields()) {
    const bool counts = !field.is_section && !is_ignored(config, field.path) &&
                        effect_of(field.path) == Effect::kComputation;
    if (!counts) continue;
    for (const char c : field.path + "=" + field.value + "\n") {
      hash = (hash ^ static_cast<uint8_t>(c)) * kFnvPrime;
    }
  }
  return hash;
}

std::vector<std::string> computation_differences(const RunConfig& a, const RunConfig& b) {
  return differences(a, b, Effect::kComputation);
}

std::vector<std::string> evaluation_differences(const RunConfig& a, const RunConfig& b) {
  return differences(a, b, [](const std::string& path) {
    return starts_with(path, "evaluation.") && path != "evaluation.every";
  });
}

std::vector<std::string> rounding_differences(const RunConfig& a, const RunConfig& b) {
  return differences(a, b, Effect::kRounding);
}

}  // namespace longhaul::launch
