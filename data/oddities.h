#pragma once

#include <cstdint>
#include <string>

namespace longhaul::data {

/// Inputs that were left out, or read in another way than might be expected.
struct Oddities {
  int64_t count = 0;
  std::string first;  ///< FILE or FILE:LINE, and what was found

  void add(const Oddities& later) {
    if (count == 0) first = later.first;
    count += later.count;
  }
};

}  // namespace longhaul::data
