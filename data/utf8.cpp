#include "data/utf8.h"

#include <cstdint>
#include <cstring>

namespace longhaul::data {

namespace {
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

/// Length of the character that begins with `first`, and the range of its second byte.
struct Lead {
  size_t bytes;
  uint8_t low, high;
};
Lead lead_of(uint8_t first) {
  if (first >= 0xC2 && first <= 0xDF) return {2, 0x80, 0xBF};
  if (first == 0xE0) return {3, 0xA0, 0xBF};  // not overlong
  if (first == 0xED) return {3, 0x80, 0x9F};  // no surrogates
  if (first >= 0xE1 && first <= 0xEF) return {3, 0x80, 0xBF};
  if (first == 0xF0) return {4, 0x90, 0xBF};
  if (first >= 0xF1 && first <= 0xF3) return {4, 0x80, 0xBF};
  if (first == 0xF4) return {4, 0x80, 0x8F};  // not beyond U+10FFFF
  return {1, 0, 0};
}

size_t ascii_prefix(std::string_view text) {
  size_t at = 0;
  for (uint64_t word; at + sizeof word <= text.size(); at += sizeof word) {
    std::memcpy(&word, text.data() + at, sizeof word);
    if ((word & 0x8080808080808080u) != 0) break;
  }
  while (at < text.size() && static_cast<uint8_t>(text[at]) < 0x80) ++at;
  return at;
}
}  // namespace

Utf8Step next_character(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return {1, first, true};
  const Lead lead = lead_of(first);
  if (lead.bytes == 1) return {1, 0xFFFD};
  char32_t character = first & (0x7Fu >> lead.bytes);
  for (size_t i = 1; i < lead.bytes; ++i) {
    if (i == text.size()) return {i, 0xFFFD, false, true};
    const uint8_t low = i == 1 ? lead.low : 0x80, high = i == 1 ? lead.high : 0xBF;
    if (byte(i) < low || byte(i) > high) return {i, 0xFFFD};
    character = (character << 6) | (byte(i) & 0x3Fu);
  }
  return {lead.bytes, character, true};
}

size_t first_invalid(std::string_view text) {
  size_t at = 0;
  while (true) {
    at += ascii_prefix(text.substr(at));
    if (at == text.size()) return at;
    const Utf8Step step = next_character(text.substr(at));
    if (!step.valid) return at;
    at += step.bytes;
  }
}

std::string_view valid_utf8(std::string_view text, std::string& buffer) {
  size_t good = first_invalid(text);
  if (good == text.size()) return text;
  buffer.clear();
  while (true) {
    buffer += text.substr(0, good);
    text.remove_prefix(good);
    if (text.empty()) return buffer;
    buffer += kReplacement;
    text.remove_prefix(next_character(text).bytes);
    good = first_invalid(text);
  }
}

void append_utf8(char32_t character, std::string& text) {
  const auto put = [&](char32_t byte) { text += static_cast<char>(byte); };
  if (character < 0x80) {
    put(character);
  } else if (character < 0x800) {
    put(0xC0 | character >> 6);
    put(0x80 | (character & 0x3F));
  } else if (character < 0x10000) {
    put(0xE0 | character >> 12);
    put(0x80 | (character >> 6 & 0x3F));
    put(0x80 | (character & 0x3F));
  } else {
    put(0xF0 | character >> 18);
    put(0x80 | (character >> 12 & 0x3F));
    put(0x80 | (character >> 6 & 0x3F));
    put(0x80 | (character & 0x3F));
  }
}

std::string Utf8Joiner::add(std::string_view bytes) {
  held_ += bytes;
  std::string_view rest = held_;
  std::string text;
  while (!rest.empty()) {
    const size_t good = first_invalid(rest);
    text += rest.substr(0, good);
    rest.remove_prefix(good);
    if (rest.empty()) break;
    const Utf8Step step = next_character(rest);
    if (step.cut) break;
    text += kReplacement;
    rest.remove_prefix(step.bytes);
  }
  held_.erase(0, held_.size() - rest.size());
  return text;
}

std::string Utf8Joiner::finish() {
  std::string buffer;
  const std::string text(valid_utf8(held_, buffer));
  held_.clear();
  return text;
}

}  // namespace longhaul::data
