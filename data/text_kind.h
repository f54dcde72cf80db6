// What a file that is to be read as text is, by its name and by its beginning.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/text_stream.h"

namespace longhaul::data {

/// A line of JSON each: .jsonl or .ndjson in any case, also compressed.
bool holds_records(const std::filesystem::path& file);
/// One value of JSON, by name and beginning, which is read as plain text all the same.
bool is_json_document(const std::filesystem::path& file, std::string_view beginning);

/// What it is ("gzip data"), where it is no text; "" where it can be. A NUL means binary.
std::string problem_of_text(std::string_view beginning);
/// InputError where it is no text.
void expect_text(const std::filesystem::path& file, std::string_view beginning);

/// A stream whose beginning is known before it is read.
class BegunText : public TextStream {
 public:
  /// Throws as open_text and TextStream::read.
  explicit BegunText(const std::filesystem::path& file);
  std::string_view beginning() const { return {beginning_.data(), beginning_.size()}; }

  size_t read(std::span<char> out) override;
  int64_t stored_bytes() const override { return rest_->stored_bytes(); }

 private:
  std::unique_ptr<TextStream> rest_;
  std::vector<char> beginning_;
  size_t given_ = 0;  // of it
};

}  // namespace longhaul::data
