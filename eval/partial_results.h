// What an evaluation has measured so far, unit by unit, and the file that keeps it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "eval/identity.h"

namespace longhaul::eval {

class PartialResults {
 public:
  /// `units` units of `width` numbers each, none done.
  PartialResults(int64_t units, int64_t width);

  bool has(int64_t unit) const { return done_[static_cast<size_t>(unit)]; }
  int64_t done() const { return std::count(done_.begin(), done_.end(), true); }
  void set(int64_t unit, const std::vector<double>& numbers);
  /// [units, width]; zeros where a unit is not done.
  const std::vector<double>& numbers() const { return numbers_; }

  /// Protobuf of eval/partial.proto with a checksum; and back. `file` names it in messages:
  /// InputError where the bytes are damaged or of another evaluation, saying which entry of the
  /// identity differs.
  std::string bytes(const Identity& identity) const;
  void parse(const std::string& bytes, const std::filesystem::path& file, const Identity& identity);

  void save(const std::filesystem::path& file, const Identity& identity) const;  ///< atomically
  void load(const std::filesystem::path& file, const Identity& identity);
  /// The entry "program" of the file's identity where it is another than that of `identity` and
  /// nothing else that both name is; "an older one" where the file does not say. InputError as of
  /// parse.
  static std::optional<std::string> other_program(const std::filesystem::path& file,
                                                  const Identity& identity);
  static void remove(const std::filesystem::path& file);

 private:
  int64_t width_;
  std::vector<bool> done_;
  std::vector<double> numbers_;
};

}  // namespace longhaul::eval
