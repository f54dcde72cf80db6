#include "data/document_index.h"

#include <algorithm>
#include <span>

namespace longhaul::data {

namespace {
constexpr int64_t kEntryBytes = sizeof(uint64_t);
constexpr int64_t kBlock = 512;  // entries
}  // namespace

uint64_t DocumentIndex::operator[](int64_t index) const {
  const std::lock_guard lock(mutex_);
  if (index < first_ || index - first_ >= std::ssize(block_)) {
    const int64_t first = index / kBlock * kBlock;
    block_.resize(static_cast<size_t>(std::min(kBlock, file_.size() / kEntryBytes - first)));
    first_ = first + kBlock;  // nobody's, should reading fail
    file_.read(first * kEntryBytes, std::as_writable_bytes(std::span(block_)));
    first_ = first;
  }
  return block_[static_cast<size_t>(index - first_)];
}

}  // namespace longhaul::data
