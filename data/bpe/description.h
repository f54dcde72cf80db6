// What a tokenizer.json says, checked: everything that byte-level BPE needs and nothing else.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "data/tokenizer.h"

namespace longhaul::data {

struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool single_word = false;             ///< only where no letter or digit touches it
  bool lstrip = false, rstrip = false;  ///< takes the white space on that side along
  bool normalized = false;              ///< looked for in the normalized text
  bool special = false;                 ///< left out of decoded text
};

/// A step that cuts the pieces of the step before.
struct SplitStep {
  enum class Kind { kPattern, kDigits, kPrefixSpace };
  Kind kind = Kind::kPattern;
  std::string pattern;       ///< kPattern: as in the file (Oniguruma's dialect)
  bool keep_matches = true;  ///< kPattern: pieces that match, and those between
  bool keep_others = true;
  bool each = true;  ///< kDigits: every digit for itself, else runs of them
};

struct BpeDescription {
  std::vector<std::pair<std::string, int32_t>> vocabulary;  ///< spelled as in the file
  std::vector<std::pair<std::string, std::string>> merges;  ///< best first
  bool ignore_merges = false;  ///< a word that is in the vocabulary is one token, merges or not
  bool nfc = false;
  std::vector<SplitStep> steps;
  std::vector<AddedToken> added;
  DocumentFrame frame;
};

/// Throws InputError naming the part of the file that is wrong or not understood.
BpeDescription read_tokenizer_json(const std::filesystem::path& file);

/// Whether the file's model is a byte-level BPE, as far as its type says; true for a file that
/// read_tokenizer_json refuses as a whole.
bool is_byte_level(const std::filesystem::path& file);

}  // namespace longhaul::data
