#include "data/bpe/added_tokens.h"

#include <unicode/uchar.h>

#include "data/utf8.h"

namespace longhaul::data {

namespace {
bool is_space(char32_t c) {
  return ::u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_WHITE_SPACE) != 0;
}

bool is_word(char32_t c) {
  const auto character = static_cast<UChar32>(c);
  constexpr uint32_t kMarks = U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK;
  return ::u_hasBinaryProperty(character, UCHAR_ALPHABETIC) ||
         ::u_hasBinaryProperty(character, UCHAR_JOIN_CONTROL) ||
         (U_GET_GC_MASK(character) & kMarks) != 0;
}

/// Where the last character of `text` begins; the text is UTF-8.
size_t last_character(std::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}
}  // namespace

AddedTokenFinder::AddedTokenFinder(const std::vector<AddedToken>& tokens,
                                   const std::vector<std::string>& contents)
    : tokens_(tokens), nodes_(1) {
  for (size_t i = 0; i < contents.size(); ++i) {
    uint32_t node = 0;
    for (const char c : contents[i]) {
      const auto byte = static_cast<unsigned char>(c);
      uint32_t next = child(node, byte);
      if (next == 0) {
        next = static_cast<uint32_t>(nodes_.size());
        nodes_[node].children.emplace_back(byte, next);
        nodes_.emplace_back();
      }
      node = next;
    }
    if (node == 0) continue;
    begins_[static_cast<unsigned char>(contents[i][0])] = true;
    if (nodes_[node].token < 0) nodes_[node].token = static_cast<int32_t>(i);
  }
}

uint32_t AddedTokenFinder::child(uint32_t node, unsigned char byte) const {
  for (const auto& [label, next] : nodes_[node].children)
    if (label == byte) return next;
  return 0;
}

AddedTokenFinder::Found AddedTokenFinder::find(std::string_view text, size_t from) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!begins_[static_cast<unsigned char>(text[begin])]) continue;
    Found found;
    uint32_t node = 0;
    for (size_t at = begin; at < text.size(); ++at) {
      node = child(node, static_cast<unsigned char>(text[at]));
      if (node == 0) break;
      if (nodes_[node].token >= 0) found = {nodes_[node].token, begin, at + 1};
    }
    if (found.token >= 0) return found;
  }
  return {};
}

AddedTokenFinder::Span AddedTokenFinder::widened(std::string_view text, size_t handed_out,
                                                 const Found& found) const {
  const AddedToken& token = tokens_[static_cast<size_t>(found.token)];
  Span span{found.begin, found.end};
  const std::string_view before = text.substr(0, found.begin), after = text.substr(found.end);
  if (token.single_word) {
    const bool touched =
        (!before.empty() &&
         is_word(next_character(before.substr(last_character(before))).character)) ||
        (!after.empty() && is_word(next_character(after).character));
    if (touched) return {};
  }
  while (token.lstrip && span.begin > handed_out) {
    const size_t last = last_character(text.substr(0, span.begin));
    if (!is_space(next_character(text.substr(last)).character)) break;
    span.begin = last;
  }
  while (token.rstrip && span.end < text.size()) {
    const Utf8Step step = next_character(text.substr(span.end));
    if (!is_space(step.character)) break;
    span.end += step.bytes;
  }
  return span;
}

}  // namespace longhaul::data
