#pragma once

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

}  // namespace longhaul::eval
