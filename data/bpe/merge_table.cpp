#include "data/bpe/merge_table.h"

#include <glog/logging.h>

#include <algorithm>
#include <array>
#include <bit>

namespace longhaul::data {

namespace {
/// Up to here, looking at all neighbours for each merge is faster than a heap.
constexpr size_t kShortWord = 64;
constexpr uint32_t kNone = ~uint32_t{0};
}  // namespace

MergeTable::MergeTable(const std::vector<Merge>& merges, const std::vector<int32_t>& byte_tokens)
    : byte_tokens_(byte_tokens) {
  CHECK_EQ(byte_tokens_.size(), 256u);
  const size_t slots = std::bit_ceil(std::max<size_t>(2 * merges.size(), 2));
  slots_.resize(slots);
  shift_ = 64 - std::countr_zero(slots);
  uint32_t rank = 0;
  for (const Merge& merge : merges) {
    const uint64_t pair = pair_of(merge.left, merge.right);
    size_t place = place_of(pair);
    while (slots_[place].pair != pair && slots_[place].rank != kNever)
      place = (place + 1) & (slots - 1);
    slots_[place] = {pair, rank++, merge.result};
  }
}

MergeTable::Slot MergeTable::find(int32_t left, int32_t right) const {
  const uint64_t pair = pair_of(left, right);
  for (size_t place = place_of(pair);; place = (place + 1) & (slots_.size() - 1)) {
    const Slot& slot = slots_[place];
    if (slot.pair == pair || slot.rank == kNever) return slot;
  }
}

void MergeTable::encode(std::string_view word, Scratch& scratch,
                        std::vector<int32_t>& tokens) const {
  if (word.size() <= kShortWord)
    encode_short(word, tokens);
  else
    encode_long(word, scratch, tokens);
}

void MergeTable::encode_short(std::string_view word, std::vector<int32_t>& tokens) const {
  std::array<int32_t, kShortWord> symbols;
  std::array<int32_t, kShortWord> results;
  std::array<uint32_t, kShortWord> ranks;  // of symbol i with symbol i + 1
  size_t count = 0;
  for (const char c : word) {
    const int32_t token = byte_tokens_[static_cast<unsigned char>(c)];
    if (token >= 0) symbols[count++] = token;
  }
  const auto look = [&](size_t i) {
    const Slot slot = find(symbols[i], symbols[i + 1]);
    ranks[i] = slot.rank;
    results[i] = slot.result;
  };
  for (size_t i = 0; i + 1 < count; ++i) look(i);
  while (count > 1) {
    uint32_t best = ranks[0];
    for (size_t i = 1; i + 1 < count; ++i) best = std::min(best, ranks[i]);
    if (best == kNever) break;
    size_t at = 0;
    while (ranks[at] != best) ++at;
    symbols[at] = results[at];
    --count;
    for (size_t i = at + 1; i < count; ++i) {
      symbols[i] = symbols[i + 1];
      ranks[i] = ranks[i + 1];
      results[i] = results[i + 1];
    }
    if (at + 1 < count) look(at);
    if (at > 0) look(at - 1);
  }
  tokens.insert(tokens.end(), symbols.begin(), symbols.begin() + static_cast<ptrdiff_t>(count));
}

void MergeTable::encode_long(std::string_view word, Scratch& scratch,
                             std::vector<int32_t>& tokens) const {
  auto& symbols = scratch.symbols;
  auto& heap = scratch.heap;
  symbols.clear();
  heap.clear();
  CHECK_LT(word.size(), size_t{kNone});
  for (const char c : word) {
    const int32_t token = byte_tokens_[static_cast<unsigned char>(c)];
    const auto place = static_cast<uint32_t>(symbols.size());
    if (token >= 0) symbols.push_back({token, place - 1, place + 1});
  }
  if (symbols.empty()) return;
  symbols.back().right = kNone;
  const auto offer = [&](uint32_t place) {
    const uint32_t right = symbols[place].right;
    if (right == kNone) return false;
    const Slot slot = find(symbols[place].token, symbols[right].token);
    if (slot.rank == kNever) return false;
    heap.push_back({slot.rank, place, slot.result});
    return true;
  };
  const auto count = static_cast<uint32_t>(symbols.size());
  for (uint32_t i = 0; i < count; ++i) offer(i);
  std::make_heap(heap.begin(), heap.end());
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    const Scratch::Candidate candidate = heap.back();
    heap.pop_back();
    auto& symbol = symbols[candidate.place];
    if (symbol.token < 0 || symbol.right == kNone) continue;
    // Stale if one of the two has merged since with somebody else.
    const Slot slot = find(symbol.token, symbols[symbol.right].token);
    if (slot.rank != candidate.rank) continue;
    auto& right = symbols[symbol.right];
    symbol.token = candidate.result;
    right.token = -1;
    symbol.right = right.right;
    if (symbol.right != kNone) symbols[symbol.right].left = candidate.place;
    if (symbol.left != kNone && offer(symbol.left)) std::push_heap(heap.begin(), heap.end());
    if (offer(candidate.place)) std::push_heap(heap.begin(), heap.end());
  }
  for (uint32_t i = 0; i != kNone; i = symbols[i].right) tokens.push_back(symbols[i].token);
}

}  // namespace longhaul::data
