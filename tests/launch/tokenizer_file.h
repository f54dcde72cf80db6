#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace longhaul::launch {

/// A tokenizer.json without merges; `order` leads to others of the same size.
/// Printable ASCII stands for itself there, so such a file is easily written: 93 visible characters
/// and, as other bytes, whatever numbers are left.
inline std::string tokenizer_json(int order = 1) {
  nlohmann::json vocabulary;
  int next = 0;
  const auto put = [&](int character) {
    std::string text;
    if (character < 0x80) {
      text += static_cast<char>(character);
    } else {
      text += static_cast<char>(0xC0 | character >> 6);
      text += static_cast<char>(0x80 | (character & 0x3F));
    }
    vocabulary[text] = order * next++ % 256;
  };
  for (int c = '!'; c <= '~'; ++c) put(c);
  for (int c = 0xA1; c <= 0xFF; ++c)
    if (c != 0xAD) put(c);
  const int others = 0x100 + 256 - next;
  for (int c = 0x100; c < others; ++c) put(c);
  const nlohmann::json bytes{{"type", "ByteLevel"}, {"add_prefix_space", false}};
  return nlohmann::json{
      {"added_tokens", {{{"id", 256}, {"content", "<|endoftext|>"}, {"special", true}}}},
      {"pre_tokenizer", bytes},
      {"decoder", bytes},
      {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", nlohmann::json::array()}}}}
      .dump();
}

}  // namespace longhaul::launch
