// Finds added tokens in text: leftmost, of those that begin there the longest.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/bpe/description.h"

namespace longhaul::data {

class AddedTokenFinder {
 public:
  /// `contents[i]`: as what tokens[i] is looked for.
  AddedTokenFinder(const std::vector<AddedToken>& tokens, const std::vector<std::string>& contents);

  bool is_empty() const { return tokens_.empty(); }

  /// take(piece, token) for each piece of `text` in order; token −1: none, to be tokenized.
  template <class Take>
  void cut(std::string_view text, const Take& take) const {
    size_t begin = 0;  // of what has not been handed out
    for (size_t at = 0; at < text.size();) {
      const Found found = find(text, at);
      if (found.token < 0) break;
      const Span span = widened(text, begin, found);
      at = found.end;
      if (span.end == 0) continue;
      if (begin < span.begin) take(text.substr(begin, span.begin - begin), -1);
      take(std::string_view(), tokens_[static_cast<size_t>(found.token)].id);
      begin = span.end;
    }
    if (begin < text.size()) take(text.substr(begin), -1);
  }

 private:
  struct Found {
    int32_t token = -1;  // index
    size_t begin = 0, end = 0;
  };
  struct Span {
    size_t begin = 0, end = 0;
  };
  struct Node {
    int32_t token = -1;
    std::vector<std::pair<unsigned char, uint32_t>> children;
  };

  Found find(std::string_view text, size_t from) const;
  /// With the white space that the token takes along; end 0 where the token does not count.
  Span widened(std::string_view text, size_t handed_out, const Found& found) const;
  uint32_t child(uint32_t node, unsigned char byte) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_;
  std::array<bool, 256> begins_{};
};

}  // namespace longhaul::data
