#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "data/token_data.h"

namespace longhaul::data {

/// Several files of tokens as one, in order. No document goes on from one to the next.
class TokenShards : public TokenData {
 public:
  TokenShards(const std::filesystem::path& path, std::vector<std::unique_ptr<TokenData>> shards);

  const std::filesystem::path& path() const override { return path_; }
  int64_t tokens() const override { return first_token_.back(); }
  int64_t documents() const override { return first_document().back(); }
  bool knows_documents() const override;
  int64_t document_begin(int64_t document) const override;
  int64_t vocabulary() const override { return shards_.front()->vocabulary(); }
  int32_t end_of_document() const override { return shards_.front()->end_of_document(); }
  std::string tokenizer() const override { return ""; }
  uint64_t fingerprint() const override;
  uint64_t earlier_fingerprint() const override;
  void read(int64_t begin, std::span<int32_t> out) const override;

 private:
  const std::vector<int64_t>& first_document() const;

  std::filesystem::path path_;
  std::vector<std::unique_ptr<TokenData>> shards_;
  std::vector<int64_t> first_token_{0};  // of each shard, then the total
  mutable std::once_flag counted_;
  mutable std::vector<int64_t> first_document_;  // likewise
};

}  // namespace longhaul::data
