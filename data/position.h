// What every BatchSource does with its position: parsing, and comparing what must be the same.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/token_data.h"
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
  void same_tokens(const TokenData& data, uint64_t read_before) {
    if (data.fingerprint() != read_before && data.earlier_fingerprint() != read_before)
      problems_.push_back(core::message(
          "data position: data.folder: ", data.path().string(),
          " holds other tokens than those read so far (fingerprint ", data.fingerprint(),
          ", expected ", read_before,
          "): they were tokenized again or replaced; put the old ones back, or start a new run"));
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
