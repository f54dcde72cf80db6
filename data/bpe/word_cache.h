// Remembers the tokens of short words: text consists of few words that come again and again.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace longhaul::data {

/// One slot a hash: a new word takes the place of the one before.
class WordCache {
 public:
  WordCache() : slots_(kSlots) {}

  /// Appends the tokens of `word`, made by encode(word, tokens) where they are not known.
  template <class Encode>
  void encode(std::string_view word, std::vector<int32_t>& tokens, const Encode& encode) {
    if (word.size() > kMostBytes) return encode(word, tokens);
    const uint64_t hash = hash_of(word);
    Slot& slot = slots_[static_cast<size_t>(hash >> (64 - kSlotBits))];
    if (slot.bytes == word.size() && std::memcmp(slot.word.data(), word.data(), word.size()) == 0) {
      tokens.insert(tokens.end(), slot.tokens.begin(), slot.tokens.begin() + slot.count);
      return;
    }
    const size_t before = tokens.size();
    encode(word, tokens);
    const size_t count = tokens.size() - before;
    if (count > kMostTokens) return;
    slot.bytes = static_cast<uint8_t>(word.size());
    slot.count = static_cast<uint8_t>(count);
    std::memcpy(slot.word.data(), word.data(), word.size());
    std::copy_n(tokens.data() + before, count, slot.tokens.begin());
  }

 private:
  static constexpr int kSlotBits = 15;
  static constexpr size_t kSlots = size_t{1} << kSlotBits;
  static constexpr size_t kMostBytes = 30, kMostTokens = 8;

  struct alignas(64) Slot {  // a cache line
    uint8_t bytes = 0, count = 0;
    std::array<char, kMostBytes> word{};
    std::array<int32_t, kMostTokens> tokens{};
  };
  static_assert(sizeof(Slot) == 64);

  static uint64_t hash_of(std::string_view word) {
    constexpr uint64_t kOdd = 0x9E3779B97F4A7C15u;
    uint64_t hash = word.size() * kOdd;
    const auto mix = [&](uint64_t part) {
      hash = (hash ^ part) * kOdd;
      hash ^= hash >> 32;
    };
    size_t at = 0;
    uint64_t part = 0;
    for (; at + sizeof part <= word.size(); at += sizeof part) {
      std::memcpy(&part, word.data() + at, sizeof part);
      mix(part);
    }
    part = 0;
    for (size_t i = at; i < word.size(); ++i)
      part = part << 8 | static_cast<unsigned char>(word[i]);
    mix(part);
    return hash * kOdd;
  }

  std::vector<Slot> slots_;
};

}  // namespace longhaul::data
