#include "data/utf8.h"

#include <gtest/gtest.h>

#include "kernels/core/random.h"

namespace longhaul::data {
namespace {

std::string valid(const std::string& text) {
  std::string buffer;
  return std::string(valid_utf8(text, buffer));
}

TEST(Utf8, WellFormedTextStaysAsItIs) {
  for (const std::string text :
       {"", "a", "\u00e9", "\u20ac", "\U0001F600", "ab\u00e9cdefghijklmnop\u20acq", "\uFFFD"}) {
    EXPECT_EQ(first_invalid(text), text.size());
    EXPECT_EQ(valid(text), text);
  }
  EXPECT_EQ(valid(std::string(1, '\0')), std::string(1, '\0'));
}

// As Python's bytes.decode(errors="replace") does: one U+FFFD for each maximal subpart.
TEST(Utf8, IllFormedPartsAreReplaced) {
  const std::string r = "\uFFFD";
  EXPECT_EQ(valid("a\xff"), "a" + r);
  EXPECT_EQ(valid("\x80\x80"), r + r);
  EXPECT_EQ(valid("\xC0\xAF"), r + r);          // overlong
  EXPECT_EQ(valid("\xE0\x80\xAF"), r + r + r);  // overlong
  EXPECT_EQ(valid("\xED\xA0\x80"), r + r + r);  // surrogate
  EXPECT_EQ(valid("\xF4\x90\x80\x80"), r + r + r + r);
  EXPECT_EQ(valid("\xE2\x82"), r);  // cut off
  EXPECT_EQ(valid("\xE2\x82x"), r + "x");
  EXPECT_EQ(valid("\xF0\x9F\x98\xE2\x82\xAC"), r + "\u20ac");
  EXPECT_EQ(valid("abcdefgh\xC3ijklmnopq\xC3"), "abcdefgh" + r + "ijklmnopq" + r);
}

TEST(Utf8, CharactersComeBack) {
  for (char32_t c = 0; c < 0x110000; c += 1 + c / 50) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    append_utf8(c, text);
    const Utf8Step step = next_character(text);
    EXPECT_TRUE(step.valid && step.character == c && step.bytes == text.size())
        << static_cast<uint32_t>(c);
  }
}

TEST(Utf8Joiner, WaitsForTheRestOfACharacter) {
  Utf8Joiner joiner;
  EXPECT_EQ(joiner.add("a\xF0\x9F"), "a");
  EXPECT_EQ(joiner.add("\x98"), "");
  EXPECT_EQ(joiner.add("\x80z"), "\U0001F600z");
  EXPECT_EQ(joiner.add("\xE2\x82"), "");
  EXPECT_EQ(joiner.add("b"), "\uFFFDb");
  EXPECT_EQ(joiner.add("\xC3"), "");
  EXPECT_EQ(joiner.finish(), "\uFFFD");
  EXPECT_EQ(joiner.finish(), "");
}

TEST(Utf8Joiner, PiecesGiveTheWhole) {
  core::RandomStream random({3, 0, core::RandomPurpose::kTest});
  for (int round = 0; round < 300; ++round) {
    std::string bytes, joined;
    for (int i = 0; i < 20; ++i) {
      if (random.below(2) == 0)
        bytes += static_cast<char>(random.below(256));
      else
        append_utf8(static_cast<char32_t>(random.below(0xD800)), bytes);
    }
    Utf8Joiner joiner;
    for (size_t at = 0; at < bytes.size();) {
      const size_t size = 1 + random.below(4);
      joined += joiner.add(std::string_view(bytes).substr(at, size));
      at += size;
    }
    joined += joiner.finish();
    EXPECT_EQ(joined, valid(bytes));
  }
}

}  // namespace
}  // namespace longhaul::data
