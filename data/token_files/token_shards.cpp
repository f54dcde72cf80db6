#include "data/token_files/token_shards.h"

#include <glog/logging.h>

#include <algorithm>

namespace longhaul::data {

namespace {
/// The shard that `index` (of a token or a document) lies in.
size_t shard_of(const std::vector<int64_t>& first, int64_t index) {
  const auto after = std::upper_bound(first.begin(), first.end(), index);
  return static_cast<size_t>(after - first.begin()) - 1;
}

template <class Fingerprint>
uint64_t combined(const std::vector<std::unique_ptr<TokenData>>& shards, const Fingerprint& of) {
  constexpr uint64_t kOdd = 0x9E3779B97F4A7C15u;
  uint64_t hash = shards.size();
  for (const auto& shard : shards) hash = (hash ^ of(*shard)) * kOdd + (hash >> 29);
  return hash;
}
}  // namespace

TokenShards::TokenShards(const std::filesystem::path& path,
                         std::vector<std::unique_ptr<TokenData>> shards)
    : path_(path), shards_(std::move(shards)) {
  CHECK(!shards_.empty());
  for (const auto& shard : shards_) first_token_.push_back(first_token_.back() + shard->tokens());
}

const std::vector<int64_t>& TokenShards::first_document() const {
  std::call_once(counted_, [&] {
    std::vector<int64_t> first{0};
    for (const auto& shard : shards_) first.push_back(first.back() + shard->documents());
    first_document_ = std::move(first);
  });
  return first_document_;
}

bool TokenShards::knows_documents() const {
  return std::all_of(shards_.begin(), shards_.end(),
                     [](const auto& shard) { return shard->knows_documents(); });
}

int64_t TokenShards::document_begin(int64_t document) const {
  CHECK(document >= 0 && document <= documents()) << document;
  if (document == documents()) return tokens();
  const size_t shard = shard_of(first_document(), document);
  return first_token_[shard] + shards_[shard]->document_begin(document - first_document()[shard]);
}

uint64_t TokenShards::fingerprint() const {
  return combined(shards_, [](const TokenData& shard) { return shard.fingerprint(); });
}

uint64_t TokenShards::earlier_fingerprint() const {
  return combined(shards_, [](const TokenData& shard) { return shard.earlier_fingerprint(); });
}

void TokenShards::read(int64_t begin, std::span<int32_t> out) const {
  CHECK(begin >= 0 && begin <= tokens() && std::ssize(out) <= tokens() - begin);
  while (!out.empty()) {
    const size_t shard = shard_of(first_token_, begin);
    const int64_t inside = begin - first_token_[shard];
    const auto count =
        static_cast<size_t>(std::min<int64_t>(std::ssize(out), shards_[shard]->tokens() - inside));
    shards_[shard]->read(inside, out.first(count));
    out = out.subspan(count);
    begin += static_cast<int64_t>(count);
  }
}

}  // namespace longhaul::data
