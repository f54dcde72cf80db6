#include "eval/csv.h"

#include <glog/logging.h>

#include <array>
#include <charconv>
#include <cmath>

#include "model/checkpoint/atomic_file.h"

namespace longhaul::eval {

namespace {

std::string text_of(const CsvCell& cell) {
  if (const auto* number = std::get_if<int64_t>(&cell)) return std::to_string(*number);
  if (const auto* number = std::get_if<double>(&cell)) {
    if (std::isnan(*number)) return "nan";  // whatever its sign
    std::array<char, 32> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), *number).ptr;
    return {digits.data(), end};
  }
  const auto& text = std::get<std::string>(cell);
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

}  // namespace

CsvTable::CsvTable(std::vector<std::string> columns) : columns_(columns.size()) {
  add({columns.begin(), columns.end()});
  rows_ = 0;
}

void CsvTable::add(const std::vector<CsvCell>& cells) {
  CHECK_EQ(cells.size(), columns_);
  for (size_t i = 0; i < cells.size(); ++i) text_ += (i > 0 ? "," : "") + text_of(cells[i]);
  text_ += "\n";
  ++rows_;
}

void CsvTable::write(const std::filesystem::path& file) const {
  if (file.has_parent_path()) std::filesystem::create_directories(file.parent_path());
  model::write_file_atomically(file, text_);
}

}  // namespace longhaul::eval
