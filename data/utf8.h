// UTF-8 as tokenizers of text read it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace longhaul::data {

/// A character, or what stands in its place: the longest beginning of one that breaks off or goes
/// wrong (Unicode's "maximal subpart"; Python's errors='replace' does the same).
struct Utf8Step {
  size_t bytes = 0;
  char32_t character = 0;  ///< U+FFFD where the bytes are no character
  bool valid = false;
  bool cut = false;  ///< not valid only because the text ends here
};
Utf8Step next_character(std::string_view text);  ///< of a text that is not empty

/// Offset of the first byte that is no part of well-formed UTF-8; size() if there is none.
size_t first_invalid(std::string_view text);

/// `text`, or `buffer` filled with `text` where each ill-formed part has become U+FFFD.
std::string_view valid_utf8(std::string_view text, std::string& buffer);

void append_utf8(char32_t character, std::string& text);

/// Makes text from bytes that come piece by piece: a character cut in two waits for its rest.
class Utf8Joiner {
 public:
  std::string add(std::string_view bytes);  ///< what has become complete
  std::string finish();                     ///< the rest; U+FFFD where a character was cut

 private:
  std::string held_;
};

}  // namespace longhaul::data
