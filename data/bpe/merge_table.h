// The merges of byte-level BPE: a word starts as its bytes; of all neighbours that may merge, those
// of the best rank do, leftmost first, until none may.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace longhaul::data {

class MergeTable {
 public:
  struct Merge {
    int32_t left = 0, right = 0, result = 0;
  };
  /// `merges`: best first; of equal pairs the last one counts. byte_tokens[b]: the token of byte b,
  /// −1 where there is none.
  MergeTable(const std::vector<Merge>& merges, const std::vector<int32_t>& byte_tokens);

  /// Reused from word to word; one thread at a time.
  struct Scratch {
    struct Symbol {
      int32_t token = 0;
      uint32_t left = 0, right = 0;  // neighbours
    };
    struct Candidate {
      uint32_t rank = 0, place = 0;
      int32_t result = 0;
      bool operator<(const Candidate& other) const {  // the heap's top is the best
        return rank != other.rank ? rank > other.rank : place > other.place;
      }
    };
    std::vector<Symbol> symbols;
    std::vector<Candidate> heap;
  };
  /// Appends the tokens of `word`.
  void encode(std::string_view word, Scratch& scratch, std::vector<int32_t>& tokens) const;

 private:
  static constexpr uint32_t kNever = ~uint32_t{0};
  struct Slot {
    uint64_t pair = ~uint64_t{0};
    uint32_t rank = kNever;
    int32_t result = 0;
  };

  static uint64_t pair_of(int32_t left, int32_t right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }
  size_t place_of(uint64_t pair) const {
    return static_cast<size_t>((pair * 0x9E3779B97F4A7C15u) >> shift_);
  }
  Slot find(int32_t left, int32_t right) const;
  void encode_short(std::string_view word, std::vector<int32_t>& tokens) const;
  void encode_long(std::string_view word, Scratch& scratch, std::vector<int32_t>& tokens) const;

  std::vector<Slot> slots_;  // open addressing; at most half full
  int shift_ = 0;
  std::vector<int32_t> byte_tokens_;
};

}  // namespace longhaul::data
