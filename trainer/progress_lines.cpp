#include "trainer/progress_lines.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <string>
#include <string_view>

namespace longhaul::trainer {

namespace {

struct Column {
  std::string_view title;
  std::string_view name;  // of the record's value
  int width;
  const char* format;
};
constexpr std::array<Column, 6> kColumns{{{"loss", "loss", 9, "%*.4f"},
                                          {"grad norm", "gradient_norm", 11, "%*.4g"},
                                          {"rate", "rate", 11, "%*.3e"},
                                          {"state norm", "state_norm", 12, "%*.4g"},
                                          {"tokens/s", "tokens_per_second", 11, "%*.0f"},
                                          {"util", "utilisation", 8, "%*.3f"}}};
constexpr int kStepWidth = 8, kTimeWidth = 10;

std::string padded(std::string_view text, int width) {
  const auto missing = std::max<int64_t>(0, width - static_cast<int64_t>(text.size()));
  return std::string(static_cast<size_t>(missing), ' ') + std::string(text);
}

std::string cell(const Record& record, const Column& column) {
  const auto found = std::find_if(record.values.begin(), record.values.end(),
                                  [&](const auto& value) { return value.first == column.name; });
  if (found == record.values.end()) return padded("-", column.width);
  std::array<char, 400> text{};  // %f of the largest double has 309 digits
  std::snprintf(text.data(), text.size(), column.format, column.width, found->second);
  return text.data();
}

std::string duration(double seconds) {
  const auto whole = static_cast<int64_t>(std::min(seconds, 1e9) + 0.5);
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%ld:%02d:%02d", static_cast<long>(whole / 3600),
                static_cast<int>(whole / 60 % 60), static_cast<int>(whole % 60));
  return text.data();
}

}  // namespace

ProgressLines::ProgressLines(int64_t done, int64_t steps)
    : first_(done), steps_(steps), start_(std::chrono::steady_clock::now()) {}

void ProgressLines::show(const Record& record) {
  std::string line;
  if (!header_shown_) {
    line += padded("step", kStepWidth);
    for (const Column& column : kColumns) line += padded(column.title, column.width);
    line += padded("left", kTimeWidth) + "\n";
    header_shown_ = true;
  }
  line += padded(std::to_string(record.step), kStepWidth);
  for (const Column& column : kColumns) line += cell(record, column);
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start_;
  const auto done = static_cast<double>(std::max<int64_t>(1, record.step - first_));
  const auto left = static_cast<double>(steps_ - record.step);
  line += padded(duration(spent.count() / done * left), kTimeWidth) + "\n";
  std::cout << line << std::flush;
}

void ProgressLines::show_evaluation(const Record& record) {
  std::string line = padded(std::to_string(record.step), kStepWidth) + "  evaluation: ";
  const char* separator = "";
  for (const auto& [name, value] : record.values) {
    std::array<char, 400> text{};
    std::snprintf(text.data(), text.size(), "%s%s %.4g", separator, name.c_str(), value);
    line += text.data();
    separator = ", ";
  }
  std::cout << line + "\n" << std::flush;
}

}  // namespace longhaul::trainer
