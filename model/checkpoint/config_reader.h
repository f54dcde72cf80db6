// Typed access to the keys of a JSON object that collects what is wrong.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace longhaul::model {

class ConfigReader {
 public:
  /// `root` is a JSON object; `name` the file, for messages.
  ConfigReader(const nlohmann::json& root, std::string name)
      : root_(root), name_(std::move(name)) {}

  /// Spellings of one setting. Where several are given, they must agree.
  using Keys = std::initializer_list<const char*>;

  bool has(const char* key) const;  ///< there, and not null
  /// The value, or what it is when absent. A wrong type is a problem and gives `absent`.
  int64_t integer(Keys keys, int64_t absent);
  /// 0 for "auto" and when absent; other numbers below 1 are a problem.
  int64_t integer_or_auto(Keys keys);
  double number(Keys keys, double absent);
  bool boolean(Keys keys, bool absent);
  std::string string(Keys keys, const std::string& absent);
  std::pair<double, double> range(Keys keys, std::pair<double, double> absent);
  std::vector<std::string> strings(Keys keys);

  /// `key`'s value as JSON, for messages.
  std::string shown(const char* key) const;
  void problem(const std::string& key, const std::string& what);
  const std::vector<std::string>& problems() const { return problems_; }

 private:
  const nlohmann::json* find(Keys keys, std::string& key);
  void wrong_type(const std::string& key, const nlohmann::json& value, const char* expected);

  const nlohmann::json& root_;
  std::string name_;
  std::vector<std::string> problems_;
};

}  // namespace longhaul::model
