#pragma once

#include <string>

namespace longhaul::eval {

/// A result by the name of its file, without .json; one of several seeds by that of its run.
template <class T>
struct Named {
  std::string name;
  T value;
};

}  // namespace longhaul::eval
