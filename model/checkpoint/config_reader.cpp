#include "model/checkpoint/config_reader.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "kernels/core/error.h"
#include "model/checkpoint/json_reading.h"

namespace longhaul::model {

namespace {

using nlohmann::json;

/// Numbers, and Python's infinities: bare (parse_python_json makes them strings) or as transformers
/// writes them since 4.57, {"__float__": "Infinity"}.
std::optional<double> as_number(const json& value) {
  if (value.is_number()) return value.get<double>();
  const json* spelled = &value;
  if (value.is_object() && value.size() == 1 && value.contains("__float__")) {
    spelled = &value["__float__"];
  }
  if (!spelled->is_string()) return std::nullopt;
  const auto& text = spelled->get_ref<const std::string&>();
  if (text == "Infinity") return std::numeric_limits<double>::infinity();
  if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  return std::nullopt;  // NaN sets nothing
}

}  // namespace

bool ConfigReader::has(const char* key) const {
  const auto found = root_.find(key);
  return found != root_.end() && !found->is_null();
}

const json* ConfigReader::find(Keys keys, std::string& key) {
  const json* value = nullptr;
  key = *keys.begin();
  for (const char* candidate : keys) {
    if (!has(candidate)) continue;
    const json& here = root_.at(candidate);
    if (value != nullptr && here != *value) {
      problem(candidate, core::message("is ", model::shown(here), ", but ", key, " is ",
                                       model::shown(*value), " and means the same"));
    } else if (value == nullptr) {
      value = &here;
      key = candidate;
    }
  }
  return value;
}

int64_t ConfigReader::integer(Keys keys, int64_t absent) {
  std::string key;
  const json* value = find(keys, key);
  if (value == nullptr) return absent;
  const bool fits =
      value->is_number_integer() && (!value->is_number_unsigned() ||
                                     value->get<uint64_t>() <= std::numeric_limits<int64_t>::max());
  if (fits) return value->get<int64_t>();
  wrong_type(key, *value, "an integer of 64 bits");
  return absent;
}

int64_t ConfigReader::integer_or_auto(Keys keys) {
  std::string key;
  const json* value = find(keys, key);
  if (value == nullptr || *value == "auto") return 0;
  const int64_t given = value->is_number_integer() ? integer(keys, 1) : 0;
  if (given < 1) wrong_type(key, *value, "\"auto\" or a whole number from 1 on");
  return given;
}

double ConfigReader::number(Keys keys, double absent) {
  std::string key;
  const json* value = find(keys, key);
  if (value == nullptr) return absent;
  if (const auto number = as_number(*value)) return *number;
  wrong_type(key, *value, "a number");
  return absent;
}

bool ConfigReader::boolean(Keys keys, bool absent) {
  std::string key;
  const json* value = find(keys, key);
  if (value == nullptr) return absent;
  if (value->is_boolean()) return value->get<bool>();
  wrong_type(key, *value, "true or false");
  return absent;
}

std::string ConfigReader::string(Keys keys, const std::string& absent) {
  std::string key;
  const json* value = find(keys, key);
  if (value == nullptr) return absent;
  if (value->is_string()) return value->get<std::string>();
  wrong_type(key, *value, "a string");
  return absent;
}

std::pair<double, double> ConfigReader::range(Keys keys, std::pair<double, double> absent) {
  std::string key;
  const json* value = find(keys, key);
  if (value == nullptr) return absent;
  if (value->is_array() && value->size() == 2) {
    const auto low = as_number((*value)[0]), high = as_number((*value)[1]);
    if (low && high) return {*low, *high};
  }
  wrong_type(key, *value, "[low, high]");
  return absent;
}

std::vector<std::string> ConfigReader::strings(Keys keys) {
  std::string key;
  std::vector<std::string> result;
  const json* value = find(keys, key);
  if (value == nullptr) return result;
  if (!value->is_array()) {
    wrong_type(key, *value, "a list of strings");
    return result;
  }
  for (const json& item : *value) {
    if (item.is_string()) {
      result.push_back(item.get<std::string>());
    } else {
      wrong_type(key, item, "strings");
    }
  }
  return result;
}

std::string ConfigReader::shown(const char* key) const {
  const auto found = root_.find(key);
  return found == root_.end() ? "absent" : model::shown(*found);
}

void ConfigReader::problem(const std::string& key, const std::string& what) {
  problems_.push_back(core::message(name_, ": ", key, ": ", what));
}

void ConfigReader::wrong_type(const std::string& key, const json& value, const char* expected) {
  problem(key, core::message("expected ", expected, ", is ", model::shown(value)));
}

}  // namespace longhaul::model
