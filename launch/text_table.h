#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace longhaul::launch {

/// Columns for the terminal: the first to the left, the others to the right, two spaces between.
/// Widths are counted in characters of UTF-8.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> titles);
  /// As many cells as there are titles.
  void add(std::vector<std::string> cells);
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

/// "12.5 GiB".
std::string size_text(int64_t bytes);

}  // namespace longhaul::launch
