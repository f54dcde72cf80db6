#include "launch/run_config.h"

#include <algorithm>

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

bool changes_computation(const std::string& path) {
  return !starts_with(path, "checkpoint.") && !starts_with(path, "evaluation.") &&
         path != "run.folder" && path != "run.log_every" && path != "parallel.time_limit_s" &&
         path != "parallel.straggler_window_s" && path != "parallel.zero";
}

constexpr uint64_t kFnvOffset = 14695981039346656037ull;
constexpr uint64_t kFnvPrime = 1099511628211ull;

}  // namespace

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
    if (field.is_section || is_ignored(config, field.path) || !changes_computation(field.path)) {
      continue;
    }
    for (const char c : field.path + "=" + field.value + "\n") {
      hash = (hash ^ static_cast<uint8_t>(c)) * kFnvPrime;
    }
  }
  return hash;
}

std::vector<std::string> computation_differences(const RunConfig& a, const RunConfig& b) {
  const FieldList first = list_fields(a);
  const FieldList second = list_fields(b);
  std::vector<std::string> keys;
  for (size_t i = 0; i < first.fields().size(); ++i) {
    const auto& field = first.fields()[i];
    const bool counts = changes_computation(field.path) &&
                        !(is_ignored(a, field.path) && is_ignored(b, field.path));
    if (counts && field.value != second.fields()[i].value) keys.push_back(field.path);
  }
  return keys;
}

}  // namespace longhaul::launch
