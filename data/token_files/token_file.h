#pragma once

#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "data/token_data.h"
#include "data/token_files/layout.h"
#include "kernels/core/random_access_file.h"

namespace longhaul::data {

/// One file of tokens that others made, read in place.
class TokenFile : public TokenData {
 public:
  /// `path`: as it was named; `file`: where the tokens are. InputError if the vocabulary is not
  /// known.
  TokenFile(const std::filesystem::path& path, const std::filesystem::path& file,
            const TokenDataOptions& options);

  const std::filesystem::path& path() const override { return path_; }
  int64_t tokens() const override { return layout_.tokens; }
  int64_t documents() const override { return std::ssize(borders()) - 1; }
  bool knows_documents() const override { return !searches_borders_; }
  int64_t document_begin(int64_t document) const override;
  int64_t vocabulary() const override { return vocabulary_; }
  int32_t end_of_document() const override { return end_of_document_; }
  std::string tokenizer() const override { return ""; }
  uint64_t fingerprint() const override { return fingerprint_; }
  uint64_t earlier_fingerprint() const override;
  void read(int64_t begin, std::span<int32_t> out) const override;

 private:
  TokenLayout find_layout(const TokenDataOptions& options) const;
  /// Reads all tokens once where the file has no borders of documents and an end is given.
  const std::vector<int64_t>& borders() const;
  void search_borders() const;
  uint64_t fingerprint_with(int64_t borders) const;

  std::filesystem::path path_, name_;
  core::RandomAccessFile file_;
  TokenLayout layout_;  // its borders only where it says them
  int64_t vocabulary_ = 0;
  int32_t end_of_document_ = 0;
  bool searches_borders_ = false;
  uint64_t fingerprint_ = 0;
  mutable std::once_flag searched_;
  mutable std::vector<int64_t> borders_;
};

/// The .idx that belongs to `path` (its .bin, the .idx itself, or their name without an ending); ""
/// if there is none.
std::filesystem::path megatron_index(const std::filesystem::path& path);

}  // namespace longhaul::data
