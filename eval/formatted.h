#pragma once

#include <cmath>
#include <cstdio>
#include <string>

namespace longhaul::eval {

/// printf of numbers into a string.
template <class... Values>
std::string formatted(const char* format, Values... values) {
  char line[256];
  std::snprintf(line, sizeof line, format, values...);
  return line;
}

/// The value, or where it is not a number "-", as wide.
inline std::string or_dash(const char* format, double value) {
  const std::string text = formatted(format, value);
  return std::isnan(value) ? std::string(text.size() - 1, ' ') + "-" : text;
}

/// Three digits, without an exponent up to ten million.
inline std::string short_number(double value) {
  return formatted(value >= 1000 && value < 1e7 ? "%.0f" : "%.3g", value);
}

}  // namespace longhaul::eval
