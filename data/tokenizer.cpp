#include "data/tokenizer.h"

#include <glog/logging.h>

#include <algorithm>

#include "data/bpe/byte_level_tokenizer.h"
#include "data/bpe/description.h"
#include "data/sentencepiece_tokenizer.h"
#include "kernels/core/error.h"

namespace longhaul::data {

namespace {
namespace fs = std::filesystem;

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
  std::string text(std::span<const int32_t> tokens) const override {
    std::string bytes;
    for (const int32_t token : tokens) bytes += decode(token);
    return bytes;
  }
  std::string spelling(int32_t) const override { return ""; }
  size_t safe_cut(std::string_view text, size_t) const override { return text.size(); }
};
}  // namespace

fs::path find_tokenizer(const fs::path& folder) {
  const fs::path json = folder / "tokenizer.json", pieces = folder / "tokenizer.model";
  std::error_code error;
  const bool has_json = fs::is_regular_file(json, error);
  const bool has_pieces = fs::is_regular_file(pieces, error);
  if (has_json && has_pieces) return is_byte_level(json) ? json : pieces;
  if (has_json) return json;
  return has_pieces ? pieces : fs::path();
}

void Tokenizer::encode_inside(std::string_view text, std::vector<int32_t>& tokens) const {
  // No token joins it with what follows, unless that begins with another.
  constexpr std::string_view kBefore = "\n";
  std::vector<int32_t> before, both;
  encode(kBefore, before);
  encode(std::string(kBefore).append(text), both);
  if (both.size() < before.size() || !std::equal(before.begin(), before.end(), both.begin())) {
    encode(text, tokens);
    return;
  }
  tokens.insert(tokens.end(), both.begin() + std::ssize(before), both.end());
}

std::unique_ptr<Tokenizer> make_tokenizer(const std::string& specification,
                                          const std::string& end_of_document) {
  constexpr const char* kExpected =
      "expected \"byte\", a tokenizer.json, a tokenizer.model or a folder with one of them";
  if (specification == "byte") {
    if (!end_of_document.empty())
      throw core::InputError("end of document: is given, but the tokenizer \"byte\" has its own");
    return std::make_unique<ByteTokenizer>();
  }
  std::error_code error;
  fs::path file = specification;
  if (fs::is_directory(file, error)) {
    file = find_tokenizer(file);
    if (file.empty())
      throw core::InputError(
          core::message(specification, ": has no tokenizer.json and no tokenizer.model"));
  }
  if (file.extension() == ".json") return make_byte_level_tokenizer(file, end_of_document);
  if (file.extension() == ".model") return make_sentencepiece_tokenizer(file, end_of_document);
  throw core::InputError(core::message("tokenizer: is \"", specification, "\", ", kExpected));
}

std::string tokenizer_identity(const std::string& name) {
  const size_t checksum = name.rfind("(CRC-32 ");
  return checksum == std::string::npos ? name : name.substr(checksum);
}

}  // namespace longhaul::data
