// JSON of unknown origin: bounded depth, no repeated keys, errors that name the file.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace longhaul::model {

/// Parses `text`; `name` is the file, for messages. Throws InputError for anything but one JSON
/// value, for a key that an object repeats, and for nesting deeper than 16.
nlohmann::json parse_json(std::string_view text, const std::string& name);

/// As parse_json, for what Python's json module writes: outside strings, NaN, Infinity and
/// -Infinity become the strings of that spelling.
nlohmann::json parse_python_json(std::string_view text, const std::string& name);

/// For messages: in quotes (std::quoted escapes no control characters), control characters as \xNN,
/// cut where it gets long.
std::string in_quotes(std::string_view text);

/// For messages: a value as JSON, cut where it gets long.
std::string shown(const nlohmann::json& value);

}  // namespace longhaul::model
