// Tables for other programs: comma-separated values as RFC 4180 has them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <variant>
#include <vector>

namespace longhaul::eval {

/// Numbers are written in as few digits as read back to the same number; nan, inf, -inf.
using CsvCell = std::variant<std::string, int64_t, double>;

class CsvTable {
 public:
  explicit CsvTable(std::vector<std::string> columns);
  /// As many cells as there are columns; "" for what there is not.
  void add(const std::vector<CsvCell>& cells);
  bool empty() const { return rows_ == 0; }

  /// The header, then a line a row, all ending in \n. Texts with a comma, a quote or a line's end
  /// stand in quotes.
  const std::string& text() const { return text_; }
  /// Atomically; its folder is made.
  void write(const std::filesystem::path& file) const;

 private:
  size_t columns_ = 0, rows_ = 0;
  std::string text_;
};

}  // namespace longhaul::eval
