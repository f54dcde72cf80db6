// A run's resolved configuration (run.yaml) as key paths, for showing where runs differ.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace longhaul::eval {

/// ("optimizer.rate", "0.001") in the order of the file.
using Configuration = std::vector<std::pair<std::string, std::string>>;

/// Reads what the program itself writes: nested `key: value` by indentation, values kept as they
/// stand; items of block lists are "key[0]", …. Not YAML at large: anchors, several documents and
/// scalars over many lines are refused (InputError naming `name` and the line).
Configuration read_configuration(const std::string& yaml, const std::string& name);

/// nullptr if there is no such key.
const std::string* find_value(const Configuration& configuration, const std::string& key);

/// Keys whose values are not the same in all, or that some lack; in the order of first appearance.
/// run.folder is left out: it always differs.
std::vector<std::string> differing_keys(const std::vector<const Configuration*>& configurations);

}  // namespace longhaul::eval
