// Lines of a stream, and the text of a JSON record.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/text_stream.h"

namespace longhaul::data {

/// Holds one line at a time.
class LineReader {
 public:
  static constexpr int64_t kMostBytes = int64_t{1} << 30;

  /// `name`: of the file, for messages.
  LineReader(TextStream& stream, std::string name, int64_t most_bytes = kMostBytes);
  /// False at the end. The line (without its '\n') is valid until the next call. InputError if it
  /// is longer than `most_bytes`.
  bool next(std::string_view& line);
  int64_t number() const { return number_; }  ///< of the line, from 1
  std::string place() const;                  ///< "file:line"

 private:
  TextStream& stream_;
  std::string name_;
  size_t most_bytes_;
  std::vector<char> buffer_;
  size_t begin_ = 0, end_ = 0;  // what is read and not handed out
  bool at_end_ = false;
  int64_t number_ = 0;
};

/// Finds the string under `key` at the top of the record in `line` and puts it into `text`. Returns
/// what is wrong, or "".
std::string read_record(std::string_view line, const std::string& key, std::string& text);

/// Makes a record readable that only lacks well-formed text: escapes of half a surrogate pair, as
/// Python's json.dumps writes them, and bytes that are no UTF-8 become U+FFFD. False where there
/// are none.
bool mend_record(std::string_view line, std::string& mended);

}  // namespace longhaul::data
