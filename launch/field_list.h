// The visitor that writes a configuration down: for printing, hashing and comparing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace longhaul::launch {

/// Values as YAML that YamlReader reads back to the same value; texts always in quotes.
std::string yaml_text(bool value);
std::string yaml_text(int64_t value);
std::string yaml_text(int value);
std::string yaml_text(double value);
std::string yaml_text(const std::string& value);

template <class T>
std::string value_text(const T& value) {
  if constexpr (std::is_enum_v<T>) {
    return std::string(enum_names(T{})[static_cast<size_t>(value)]);
  } else {
    return yaml_text(value);
  }
}
template <class T>
std::string value_text(const std::optional<T>& value) {
  return value ? value_text(*value) : "null";
}
template <class T>
std::string value_text(const std::vector<T>& values) {
  std::string text;
  for (const auto& value : values) text += (text.empty() ? "" : ", ") + value_text(value);
  return "[" + text + "]";
}

struct ListedField {
  std::string path;
  std::string value;
  std::string help;
  bool is_section = false;
};

class FieldList {
 public:
  template <class T>
  void field(const char* name, const T& value, const char* help) {
    fields_.push_back({prefix_ + name, value_text(value), help, false});
  }
  template <class T, class Rule>
  void field(const char* name, const T& value, const char* help, const Rule&) {
    field(name, value, help);
  }
  template <class S>
  void section(const char* name, S& nested) {
    fields_.push_back({prefix_ + name, "", "", true});
    const std::string outer = prefix_;
    prefix_ += std::string(name) + ".";
    nested.visit(*this);
    prefix_ = outer;
  }
  const std::vector<ListedField>& fields() const { return fields_; }

 private:
  std::string prefix_;
  std::vector<ListedField> fields_;
};

/// Every key of a configuration with its default, a line each: "optimizer.rate: 0.0003  # what it
/// is".
template <class Config>
std::string keys_of() {
  Config config;
  FieldList list;
  config.visit(list);
  std::string text;
  for (const ListedField& field : list.fields()) {
    if (!field.is_section) text += field.path + ": " + field.value + "  # " + field.help + "\n";
  }
  return text;
}

}  // namespace longhaul::launch
