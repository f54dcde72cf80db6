#include "data/tokenizer.h"

#include <glog/logging.h>

#include "kernels/core/error.h"

namespace longhaul::data {

namespace {
constexpr int32_t kBytes = 256;

/// Every byte is its own token, so any text comes back exactly.
class ByteTokenizer : public Tokenizer {
 public:
  std::string name() const override { return "byte"; }
  int64_t vocabulary() const override { return kBytes + 1; }
  int32_t end_of_document() const override { return kBytes; }
  void encode(std::string_view text, std::vector<int32_t>& tokens) const override {
    const size_t before = tokens.size();
    tokens.resize(before + text.size());
    for (size_t i = 0; i < text.size(); ++i)
      tokens[before + i] = static_cast<unsigned char>(text[i]);
  }
  std::string decode(int32_t token) const override {
    CHECK(token >= 0 && token < vocabulary()) << "token " << token;
    return token < kBytes ? std::string(1, static_cast<char>(token)) : std::string();
  }
};
}  // namespace

std::unique_ptr<Tokenizer> make_tokenizer(const std::string& specification) {
  if (specification == "byte") return std::make_unique<ByteTokenizer>();
  if (specification.ends_with(".json"))
    throw core::InputError(core::message(
        "tokenizer: is ", specification,
        ", but files of tokenizers are not supported by this version, expected \"byte\""));
  throw core::InputError(core::message("tokenizer: is \"", specification, "\", expected \"byte\""));
}

}  // namespace longhaul::data
