#include "data/bpe/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "data/utf8.h"

namespace longhaul::data {

namespace {
constexpr bool stands_for_itself(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
}

struct Alphabet {
  std::array<char16_t, 256> characters{};
  std::array<int16_t, 0x200> bytes{};  // −1: stands for no byte
};

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  for (auto& byte : alphabet.bytes) byte = -1;
  char16_t other = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const char16_t character = stands_for_itself(byte) ? static_cast<char16_t>(byte) : other++;
    alphabet.characters[static_cast<size_t>(byte)] = character;
    alphabet.bytes[character] = static_cast<int16_t>(byte);
  }
  return alphabet;
}
constexpr Alphabet kAlphabet = make_alphabet();
}  // namespace

std::string spell_byte(unsigned char byte) {
  std::string spelling;
  append_utf8(kAlphabet.characters[byte], spelling);
  return spelling;
}

std::optional<std::string> bytes_of(std::string_view spelling) {
  std::string bytes;
  while (!spelling.empty()) {
    const Utf8Step step = next_character(spelling);
    if (!step.valid || step.character >= kAlphabet.bytes.size()) return std::nullopt;
    const int16_t byte = kAlphabet.bytes[step.character];
    if (byte < 0) return std::nullopt;
    bytes += static_cast<char>(byte);
    spelling.remove_prefix(step.bytes);
  }
  return bytes;
}

}  // namespace longhaul::data
