// What every BatchSource does with its position: parsing, and comparing what must be the same.
#pragma once

#include <string>
#include <vector>

#include "kernels/core/error.h"

namespace longhaul::data {

/// Collects what a position says that does not fit; throws all at once.
class PositionChecks {
 public:
  template <class Found, class Expected>
  void same(const char* what, const Found& found, const Expected& expected) {
    if (found != expected)
      problems_.push_back(
          core::message("data position: ", what, " is ", found, ", expected ", expected));
  }
  template <class Found>
  void within(const char* what, const Found& found, const Found& low, const Found& high) {
    if (found < low || found > high)
      problems_.push_back(core::message("data position: ", what, " is ", found, ", expected from ",
                                        low, " to ", high));
  }
  void require() const {
    if (!problems_.empty()) throw core::InputError(problems_);
  }

 private:
  std::vector<std::string> problems_;
};

namespace proto {
class Position;
}

/// Throws InputError if it is not a position at all.
proto::Position parse_position(const std::string& bytes);
std::string serialize(const proto::Position& position);
/// "random windows", "lanes", "recall task", "task" or "nothing".
std::string kind_of(const proto::Position& position);

}  // namespace longhaul::data
