// Configurations as text, to compare them and to name the field that differs.
#pragma once

#include <sstream>
#include <string>
#include <type_traits>

#include "model/config.h"

namespace longhaul::testing {

/// A configuration's visitor: a line for each field.
struct PrintedFields {
  std::ostringstream out;
  template <class T, class... Rule>
  void field(const char* name, const T& value, const char*, const Rule&...) {
    out.precision(17);
    out << name << " = ";
    if constexpr (std::is_enum_v<T>) {
      out << enum_names(value)[static_cast<size_t>(value)] << "\n";
    } else {
      out << value << "\n";
    }
  }
};

inline std::string printed(model::ModelConfig config) {
  PrintedFields fields;
  config.visit(fields);
  return fields.out.str();
}

}  // namespace longhaul::testing
