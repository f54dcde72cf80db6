// The evaluations of a sweep: `longhaul eval` commands as YAML.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "launch/run_config.h"

namespace longhaul::launch {

class YamlDocument;
struct YamlNode;

struct MeasureConfig {
  std::string kind;                ///< measure of `longhaul eval`: "perplexity"
  std::string name;                ///< of its file: evaluation/NAME.json
  std::vector<std::string> words;  ///< its options: "--length=65536"; a list's, one an element

  /// Of a number or a list of numbers among the options; empty where it is not given.
  std::vector<int64_t> numbers(const std::string& option) const;
  /// The values of a text or a list of texts among the options.
  std::vector<std::string> texts(const std::string& option) const;
  bool has(const std::string& option) const { return !texts(option).empty(); }
};

/// Of a list of {KIND: {option: value, …}}: options are those of `longhaul eval KIND` without
/// dashes, - as _; besides `name` (default: KIND). Everything that `longhaul eval` would refuse is
/// reported in the document, as are options that the sweep sets itself and names given twice.
std::vector<MeasureConfig> read_measures(YamlDocument& document, const YamlNode& node);

/// InputError where the measure cannot be taken of a model of this run: what depends on the run's
/// task, and files that are not there.
void check_measure(const MeasureConfig& measure, const RunConfig& run);

}  // namespace longhaul::launch
