#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace longhaul::data {

/// Unicode's form NFC, of the characters of Unicode 9 as the tokenizers library's is (of newer ones
/// it knows no combining classes).
class NfcNormalizer {
 public:
  NfcNormalizer();
  ~NfcNormalizer();
  /// `text`, or `buffer` filled with its normal form. `text` is UTF-8.
  std::string_view normalize(std::string_view text, std::string& buffer) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace longhaul::data
