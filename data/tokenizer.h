// Text to tokens and back. One interface; `byte` now, tokenizer.json behind the same one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace longhaul::data {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  virtual std::string name() const = 0;
  virtual int64_t vocabulary() const = 0;
  virtual int32_t end_of_document() const = 0;
  /// Appends the tokens of `text`; any bytes, invalid UTF-8 included.
  virtual void encode(std::string_view text, std::vector<int32_t>& tokens) const = 0;
  /// Bytes of one token; "" for special tokens.
  virtual std::string decode(int32_t token) const = 0;
};

/// `specification`: "byte" (256 bytes, 256 = end of document). Throws InputError for anything not
/// understood.
std::unique_ptr<Tokenizer> make_tokenizer(const std::string& specification);

}  // namespace longhaul::data
