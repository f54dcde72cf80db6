// A configuration struct names each of its fields once, in a member
//   template <class V> void visit(V& v) { v.field("layers", layers, "what it is", AtLeast{1}); … }
// Reading YAML, overrides, printing, hashing and comparing are visitors over that one list.
// A visitor has: field(name, T&, help), field(name, T&, help, rule) and section(name, S&) for
// nested structs. T is bool, int64_t, int, double, std::string, std::vector of those, std::optional
// of those, or an enum with `enum_names(E)` found by argument lookup (array of names in order of
// value).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/core/error.h"

namespace longhaul::core {

// A rule is called with the value and says what is wrong ("must be at least 1"), or "" if nothing
// is.
struct AtLeast {
  double bound;
  template <class T>
  std::string operator()(const T& value) const {
    return static_cast<double>(value) >= bound ? "" : message("must be at least ", bound);
  }
};
struct Above {
  double bound;
  template <class T>
  std::string operator()(const T& value) const {
    return static_cast<double>(value) > bound ? "" : message("must be above ", bound);
  }
};
struct Within {
  double low, high;
  template <class T>
  std::string operator()(const T& value) const {
    const double v = static_cast<double>(value);
    return v >= low && v <= high ? "" : message("must be from ", low, " to ", high);
  }
};

/// Problems of a configuration, each with its full key ("model.layers: must be at least 1, is 0").
using Problems = std::vector<std::string>;

}  // namespace longhaul::core
