// Text to tokens and back. One interface: bytes, byte-level BPE (data/bpe), SentencePiece.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace longhaul::data {

/// Tokens that a document is put between, as the tokenizer's file says (Llama 3: begin of text).
struct DocumentFrame {
  std::vector<int32_t> before, after;
};

/// Any number of threads may use one at the same time.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  virtual std::string name() const = 0;
  virtual int64_t vocabulary() const = 0;  ///< largest token + 1
  virtual int32_t end_of_document() const = 0;
  /// Appends the tokens of a document (or, where safe_cut allows, of a piece of one), without its
  /// frame. Any bytes; where they are no UTF-8, tokenizers of text read U+FFFD (data/utf8.h).
  virtual void encode(std::string_view text, std::vector<int32_t>& tokens) const = 0;
  /// Appends the tokens of `text` as they are inside a document: without the space that some
  /// tokenizers put before its beginning.
  void encode_inside(std::string_view text, std::vector<int32_t>& tokens) const;
  /// Bytes of one token in the middle of a text; "" for special tokens.
  virtual std::string decode(int32_t token) const = 0;
  /// Text of a whole document, special tokens left out.
  virtual std::string text(std::span<const int32_t> tokens) const = 0;
  /// How the tokenizer's files spell a token; "" where they do not.
  virtual std::string spelling(int32_t token) const = 0;
  virtual DocumentFrame frame() const { return {}; }
  /// The largest n in (from, text.size()] so that encoding text[0, n) and then the rest, whatever
  /// follows it, gives the tokens of the whole; 0 if no such place is known.
  virtual size_t safe_cut(std::string_view text, size_t from) const = 0;
};

/// `specification`: "byte" (256 bytes, 256 = end of document), a tokenizer.json, a SentencePiece
/// tokenizer.model, or a folder that holds one of the two. `end_of_document` (a token's text or
/// number) chooses the token that ends a document; "": what the files say (data/end_of_document.h).
/// Throws InputError naming the part that is not understood.
std::unique_ptr<Tokenizer> make_tokenizer(const std::string& specification,
                                          const std::string& end_of_document = "");

/// Of a tokenizer's name, what is the same wherever its file lies.
std::string tokenizer_identity(const std::string& name);

/// tokenizer.json or tokenizer.model in `folder`; of both, tokenizer.json if it is byte-level BPE
/// (else it repeats what the other says); "" if there is none.
std::filesystem::path find_tokenizer(const std::filesystem::path& folder);

}  // namespace longhaul::data
