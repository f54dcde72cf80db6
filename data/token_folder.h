// A folder of tokens: tokens.bin (little-endian u16, or u32 where the vocabulary needs it; each
// document ends with the end-of-document token), documents.bin (little-endian u64: first token of
// each document, then the total), and manifest.json (Protobuf JSON of data/token_folder.proto:
// format version, tokenizer, vocabulary, element size, documents, tokens, sources, checksums);
// tokenizer/, where the tokenizer has files, holds copies of them. Where documents were held out,
// both manifests say by which rule (split).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/held_out.h"
#include "data/token_data.h"
#include "data/tokenizer_files.h"

namespace longhaul::data {

/// Read-only, read in place; everything is checked at opening (sizes, order of documents,
/// element size, checksums; of tokens.bin only up to 64 MiB) except token values, which are checked
/// as they are read. Throws InputError naming the file and what is wrong with it.
class TokenFolder : public TokenData {
 public:
  explicit TokenFolder(const std::filesystem::path& folder);
  ~TokenFolder() override;
  TokenFolder(TokenFolder&&) noexcept;
  TokenFolder& operator=(TokenFolder&&) noexcept;

  const std::filesystem::path& path() const override;
  int64_t tokens() const override;
  int64_t documents() const override;
  int64_t document_begin(int64_t document) const override;
  int64_t vocabulary() const override;
  int32_t end_of_document() const override;
  std::string tokenizer() const override;
  std::filesystem::path kept_tokenizer() const override;
  /// How documents were divided between this folder and another, if they were.
  const std::optional<Split>& split() const;
  uint64_t fingerprint() const override;  ///< of the sizes and checksums in the manifest
  /// Reads everything and compares the checksums; InputError if they differ.
  void verify() const;
  void read(int64_t begin, std::span<int32_t> out) const override;

 private:
  struct Opened;
  std::unique_ptr<Opened> opened_;
};

/// The tokenizer that made a token folder; "" where there is no such folder (any more).
std::string recorded_tokenizer(const std::filesystem::path& folder);
/// Where a token folder keeps its tokenizer's files; "" where it does not.
std::filesystem::path kept_tokenizer(const std::filesystem::path& folder);

/// Writes a token folder beside its final name, fsyncs, then renames: an interrupted run leaves no
/// half folder and harms nothing that was there. Refuses an existing folder that is not a token
/// folder.
class TokenFolderWriter {
 public:
  struct Description {
    std::string tokenizer;
    int64_t vocabulary = 0;
    int32_t end_of_document = 0;
    std::optional<Split> split = std::nullopt;
  };
  TokenFolderWriter(const std::filesystem::path& folder, Description description);
  ~TokenFolderWriter();  ///< without finish(): removes what was written

  void add_document(std::span<const int32_t> tokens);  ///< end of document is appended here
  void append(std::span<const int32_t> tokens);        ///< continues a document piece by piece …
  void end_document();                                 ///< … and ends it
  void add_source(const std::string& name);
  void keep_tokenizer(const std::vector<TokenizerFile>& files);
  int64_t tokens() const;
  int64_t documents() const;
  /// Everything but the name, durable: what can fail for want of space has not after this.
  void seal();
  void finish();  ///< seals if that has not been done, and gives it its name

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace longhaul::data
