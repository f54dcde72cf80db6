// Tokens as samplers read them, whoever made the file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace longhaul::data {

/// Read-only; documents follow each other without gaps and none is empty.
class TokenData {
 public:
  virtual ~TokenData() = default;
  virtual const std::filesystem::path& path() const = 0;
  virtual int64_t tokens() const = 0;
  /// Where a file does not say it, the first call of this or document_begin reads all tokens.
  virtual int64_t documents() const = 0;
  virtual bool knows_documents() const { return true; }  ///< without reading all tokens
  /// document_begin(documents()) = tokens()
  virtual int64_t document_begin(int64_t document) const = 0;
  virtual int64_t vocabulary() const = 0;
  /// 0 where nobody says which it is.
  virtual int32_t end_of_document() const = 0;
  virtual std::string tokenizer() const = 0;  ///< "" where nobody says
  /// Folder with that tokenizer's files; "" where they are not kept with the tokens.
  virtual std::filesystem::path kept_tokenizer() const { return {}; }
  /// Changes when the tokens do, or where documents end. Of the file as it was opened.
  virtual uint64_t fingerprint() const = 0;
  /// What programs before this one called its fingerprint; may read all tokens.
  virtual uint64_t earlier_fingerprint() const { return fingerprint(); }
  /// Copies tokens [begin, begin + out.size()); InputError for a token outside the vocabulary
  /// (the others are copied all the same), core::Error where the file cannot be read any more.
  virtual void read(int64_t begin, std::span<int32_t> out) const = 0;
};

/// Of a flat .bin without a header; automatic: u16 where the vocabulary fits, else u32.
enum class FlatElement { kAutomatic, kU16, kU32 };
inline const std::vector<std::string_view>& enum_names(FlatElement) {
  static const std::vector<std::string_view> names{"auto", "u16", "u32"};
  return names;
}

/// What files of others may leave open. Token folders say it all themselves.
struct TokenDataOptions {
  int64_t vocabulary = 0;  ///< 0: not known
  /// Documents end with this token where the file has no borders; −1: it is one document.
  int64_t end_of_document = -1;
  FlatElement element = FlatElement::kAutomatic;
};

/// A token folder, or files that others made, each read in place: .npy, Megatron's .bin and .idx
/// (named by either, or without the ending), .bin of llm.c (with its header) or flat (nanoGPT), or
/// a folder of such files, read in the order of their names. Throws InputError naming the file and
/// what is wrong with it.
std::unique_ptr<TokenData> open_token_data(const std::filesystem::path& path,
                                           const TokenDataOptions& options);

}  // namespace longhaul::data
