// The visitor that fills a configuration struct from a YamlDocument (kernels/core/fields.h).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "launch/yaml_document.h"

namespace longhaul::launch {

/// Strict readings of a node: decimal without leading zeros, true and false and nothing else.
/// What is wrong ("found 'yes', expected true or false"), or "" and the value set.
std::string read_scalar(const YamlNode& node, bool& value);
std::string read_scalar(const YamlNode& node, int64_t& value);
std::string read_scalar(const YamlNode& node, int& value);
std::string read_scalar(const YamlNode& node, double& value);
std::string read_scalar(const YamlNode& node, std::string& value);
std::string read_name(const YamlNode& node, const std::vector<std::string_view>& names,
                      size_t& index);
bool is_null(const YamlNode& node);

/// "found 'x', expected WHAT".
std::string expected(const YamlNode& node, std::string_view what);
/// The name that was probably meant, or "".
std::string close_match(std::string_view name, const std::vector<std::string>& names);

class YamlReader {
 public:
  explicit YamlReader(YamlDocument& document) : document_(document) {
    scopes_.push_back({&document.root(), "", {}});
    check_section(document.root(), "");
  }

  template <class T>
  void field(const char* name, T& value, const char*) {
    read(name, value);
  }
  template <class T, class Rule>
  void field(const char* name, T& value, const char*, const Rule& rule) {
    if (!read(name, value)) return;
    const std::string broken = rule(value);
    if (!broken.empty()) report(name, core::message(broken, ", is ", value));
  }
  template <class S>
  void section(const char* name, S& nested) {
    const YamlNode* node = given(name);
    const std::string path = path_of(name);
    if (node != nullptr) check_section(*node, path);
    scopes_.push_back({node, path, {}});
    nested.visit(*this);
    close_scope();
  }
  /// A key of the current section whose value the caller reads himself; nullptr if it is not given.
  const YamlNode* node(const char* name) { return given(name); }
  /// Reports keys that nobody asked for; after the outermost visit.
  void finish();

 private:
  struct Scope {
    const YamlNode* node = nullptr;  // nullptr: not given
    std::string path;
    std::vector<std::string> names;
  };
  struct Unknown {
    int line = 0;
    std::string path, name;
    std::vector<std::string> siblings;
  };

  const YamlNode* given(const char* name);
  std::string path_of(const std::string& name) const;
  void report(const char* name, const std::string& what);
  void check_section(const YamlNode& node, const std::string& path);
  void close_scope();

  template <class T>
  bool read(const char* name, T& value) {
    const YamlNode* node = given(name);
    if (node == nullptr) return false;
    T found = value;
    std::string wrong = convert(*node, found);
    if constexpr (std::is_same_v<T, double>) {
      // Only what is boundless by default may be so.
      if (wrong.empty() && std::isinf(found) && !std::isinf(value)) {
        wrong = expected(*node, "a finite number");
      }
    }
    if (!wrong.empty()) {
      report(name, wrong);
      return false;
    }
    value = std::move(found);
    return true;
  }

  template <class T>
  std::string convert(const YamlNode& node, T& value) {
    if constexpr (std::is_enum_v<T>) {
      size_t index = 0;
      std::string wrong = read_name(node, enum_names(T{}), index);
      if (wrong.empty()) value = static_cast<T>(index);
      return wrong;
    } else {
      return read_scalar(node, value);
    }
  }
  template <class T>
  std::string convert(const YamlNode& node, std::optional<T>& value) {
    if (is_null(node)) {
      value.reset();
      return "";
    }
    T found{};
    std::string wrong = convert(node, found);
    if (wrong.empty()) value = std::move(found);
    return wrong;
  }
  template <class T>
  std::string convert(const YamlNode& node, std::vector<T>& values) {
    if constexpr (std::is_same_v<T, std::string>) {  // one text stands for a list of it
      std::string one;
      if (node.kind == YamlNode::Kind::kScalar && read_scalar(node, one).empty()) {
        values.assign(one.empty() ? 0 : 1, one);
        return "";
      }
    }
    if (node.kind != YamlNode::Kind::kSequence) return expected(node, "a list");
    values.clear();
    for (size_t i = 0; i < node.values.size(); ++i) {
      T found{};
      const std::string wrong = convert(document_.value(node, i), found);
      if (!wrong.empty()) return core::message("element ", i + 1, ": ", wrong);
      values.push_back(std::move(found));
    }
    return "";
  }

  YamlDocument& document_;
  std::vector<Scope> scopes_;
  std::vector<std::string> all_paths_;
  std::vector<Unknown> unknown_;
};

}  // namespace longhaul::launch
