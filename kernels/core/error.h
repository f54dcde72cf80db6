// The two kinds of failure that the outside world causes. Broken invariants of our own are glog
// CHECKs.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace longhaul::core {

/// Something failed while running (disk full, a peer died, CUDA): the program ends with exit
/// code 1.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Wrong usage or input: exit code 2. Each problem is one line that names the file, line or key,
/// what was found and what was expected; all problems of one input are reported together.
class InputError : public Error {
 public:
  explicit InputError(const std::string& problem) : InputError(std::vector{problem}) {}
  explicit InputError(std::vector<std::string> problems)
      : Error(join(problems)), problems_(std::move(problems)) {}
  const std::vector<std::string>& problems() const { return problems_; }

 private:
  static std::string join(const std::vector<std::string>& lines) {
    std::string all;
    for (const auto& line : lines) all += (all.empty() ? "" : "\n") + line;
    return all;
  }
  std::vector<std::string> problems_;
};

/// Streams its arguments into one string: message("a ", 3, " b").
template <class... Parts>
std::string message(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

}  // namespace longhaul::core
