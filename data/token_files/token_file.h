#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/file_io.h"
#include "data/token_data.h"
#include "data/token_files/layout.h"

namespace longhaul::data {

/// One file of tokens that others made, mapped in place.
class TokenFile : public TokenData {
 public:
  /// `path`: as it was named; `file`: where the tokens are. InputError if the vocabulary is not
  /// known. Where the file has no borders of documents and an end is given, all tokens are read
  /// once.
  TokenFile(const std::filesystem::path& path, const std::filesystem::path& file,
            const TokenDataOptions& options);

  const std::filesystem::path& path() const override { return path_; }
  int64_t tokens() const override { return layout_.tokens; }
  int64_t documents() const override { return std::ssize(layout_.borders) - 1; }
  int64_t document_begin(int64_t document) const override;
  int64_t vocabulary() const override { return vocabulary_; }
  int32_t end_of_document() const override { return end_of_document_; }
  std::string tokenizer() const override { return ""; }
  uint64_t fingerprint() const override;
  void read(int64_t begin, std::span<int32_t> out) const override;

 private:
  TokenLayout find_layout(const TokenDataOptions& options) const;
  void find_borders(const TokenDataOptions& options);
  FileBytes bytes() const { return file_.bytes(); }

  std::filesystem::path path_, name_;
  core::MappedFile file_;
  TokenLayout layout_;
  int64_t vocabulary_ = 0;
  int32_t end_of_document_ = 0;
};

/// The .idx that belongs to `path` (its .bin, the .idx itself, or their name without an ending); ""
/// if there is none.
std::filesystem::path megatron_index(const std::filesystem::path& path);

}  // namespace longhaul::data
