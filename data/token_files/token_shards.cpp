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
}  // namespace

TokenShards::TokenShards(const std::filesystem::path& path,
                         std::vector<std::unique_ptr<TokenData>> shards)
    : path_(path), shards_(std::move(shards)) {
  CHECK(!shards_.empty());
  for (const auto& shard : shards_) {
    first_token_.push_back(first_token_.back() + shard->tokens());
    first_document_.push_back(first_document_.back() + shard->documents());
  }
}

int64_t TokenShards::document_begin(int64_t document) const {
  CHECK(document >= 0 && document <= documents()) << document;
  if (document == documents()) return tokens();
  const size_t shard = shard_of(first_document_, document);
  return first_token_[shard] + shards_[shard]->document_begin(document - first_document_[shard]);
}

uint64_t TokenShards::fingerprint() const {
  constexpr uint64_t kOdd = 0x9E3779B97F4A7C15u;
  uint64_t hash = shards_.size();
  for (const auto& shard : shards_) hash = (hash ^ shard->fingerprint()) * kOdd + (hash >> 29);
  return hash;
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
