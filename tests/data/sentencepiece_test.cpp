#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "data/tokenizer.h"
#include "tests/data/scratch.h"

namespace longhaul::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

enum Kind { kNormal = 1, kUnknown = 2, kControl = 3, kByte = 6 };

std::string field(char key, const std::string& bytes) {
  return {key + std::string(1, static_cast<char>(bytes.size())) + bytes};
}

/// A piece of a model (Protobuf): text, score and kind.
std::string piece(const std::string& text, float score, Kind kind = kNormal) {
  std::string bytes(sizeof score, '\0');
  std::memcpy(bytes.data(), &score, sizeof score);
  return field('\x0A', field('\x0A', text) + '\x15' + bytes + '\x18' + static_cast<char>(kind));
}

/// Unigram: the best sum of scores wins.
std::string model() {
  std::string bytes = piece("<unk>", 0, kUnknown) + piece("<s>", 0, kControl) +
                      piece("</s>", 0, kControl) + piece("▁", -3) + piece("a", -2) +
                      piece("b", -2) + piece("▁ab", -3) + piece("ab", -3.5);
  for (int byte = 0; byte < 256; ++byte) {
    constexpr const char* kDigits = "0123456789ABCDEF";
    const std::string hex{kDigits[byte / 16], kDigits[byte % 16]};
    bytes += piece("<0x" + hex + ">", 0, kByte);
  }
  // trainer_spec { byte_fallback: true }, normalizer_spec { name: "identity" }
  return bytes + field('\x12', "\x98\x02\x01") + field('\x1A', field('\x0A', "identity"));
}

class SentencePiece : public ::testing::Test {
 protected:
  SentencePiece() { testing::write_file(scratch_ / "tokenizer.model", model()); }
  testing::Scratch scratch_;
};

TEST_F(SentencePiece, BestSumOfScoresWithBytesForTheRest) {
  const auto tokenizer = make_tokenizer(scratch_.path().string());
  const auto encoded = [&](const std::string& text) {
    std::vector<int32_t> tokens;
    tokenizer->encode(text, tokens);
    return tokens;
  };
  EXPECT_EQ(tokenizer->vocabulary(), 8 + 256);
  EXPECT_EQ(tokenizer->end_of_document(), 2);
  EXPECT_THAT(tokenizer->frame().before, ElementsAre(1));
  EXPECT_THAT(encoded("ab"), ElementsAre(6));
  EXPECT_THAT(encoded("aab b"), ElementsAre(3, 4, 7, 3, 5));
  EXPECT_THAT(encoded("é"), ElementsAre(3, 8 + 0xC3, 8 + 0xA9));
  EXPECT_THAT(encoded("\xff"), ElementsAre(3, 8 + 0xEF, 8 + 0xBF, 8 + 0xBD));
  EXPECT_EQ(tokenizer->text(encoded("ab aé")), "ab aé");
  EXPECT_EQ(tokenizer->decode(6), " ab");
  EXPECT_EQ(tokenizer->decode(8 + 0xC3), "\xC3");
  EXPECT_EQ(tokenizer->decode(2), "");
}

TEST_F(SentencePiece, NoSpaceIsPutBeforeTextInsideADocument) {
  const auto tokenizer = make_tokenizer(scratch_.path().string());
  const auto whole = [&](std::string_view text) {
    std::vector<int32_t> tokens;
    tokenizer->encode(text, tokens);
    return tokens;
  };
  for (const char* rest : {" ab", "\nab", "b", " a b"}) {
    std::vector<int32_t> tokens = whole("a.\n");
    tokenizer->encode_inside(rest, tokens);
    EXPECT_EQ(tokens, whole(std::string("a.\n") + rest)) << rest;
  }
  std::vector<int32_t> tokens;
  tokenizer->encode_inside(" ab", tokens);
  EXPECT_THAT(tokens, ElementsAre(6));
}

TEST_F(SentencePiece, WhatIsNoModelIsRefused) {
  const auto problem = [&](const std::string& content) {
    testing::write_file(scratch_ / "x.model", content);
    return testing::problem_of([&] { make_tokenizer((scratch_ / "x.model").string()); });
  };
  EXPECT_THAT(problem("no model"), HasSubstr("x.model: is no SentencePiece model"));
  EXPECT_THAT(problem(model().substr(0, 100)), HasSubstr("x.model: is no SentencePiece model"));
  EXPECT_THAT(problem(""), HasSubstr("x.model"));
}

}  // namespace
}  // namespace longhaul::data
