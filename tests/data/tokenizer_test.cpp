#include "data/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/core/random.h"
#include "tests/data/scratch.h"

namespace longhaul::data {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ByteTokenizer, HasBytesAndTheEndOfDocument) {
  const auto tokenizer = make_tokenizer("byte");
  EXPECT_EQ(tokenizer->name(), "byte");
  EXPECT_EQ(tokenizer->vocabulary(), 257);
  EXPECT_EQ(tokenizer->end_of_document(), 256);
  EXPECT_EQ(tokenizer->decode(256), "");
}

TEST(ByteTokenizer, AppendsUnsignedBytes) {
  const auto tokenizer = make_tokenizer("byte");
  std::vector<int32_t> tokens{7};
  tokenizer->encode(std::string_view("a\0\xff", 3), tokens);
  EXPECT_THAT(tokens, ElementsAre(7, 97, 0, 255));
}

TEST(ByteTokenizer, BringsRandomBytesBack) {
  const auto tokenizer = make_tokenizer("byte");
  core::RandomStream random({1, 0, core::RandomPurpose::kTest});
  for (const int64_t size : {0, 1, 255, 4097}) {
    std::string text(static_cast<size_t>(size), ' ');
    for (char& c : text) c = static_cast<char>(random.below(256));
    std::vector<int32_t> tokens;
    tokenizer->encode(text, tokens);
    std::string back;
    for (const int32_t token : tokens) back += tokenizer->decode(token);
    EXPECT_EQ(back, text);
  }
}

TEST(MakeTokenizer, SaysWhatIsSupported) {
  const testing::Scratch scratch;
  EXPECT_THAT(testing::problem_of([] { make_tokenizer("x/tokenizer.json"); }),
              HasSubstr("x/tokenizer.json: cannot be read: No such file"));
  EXPECT_THAT(testing::problem_of([&] { make_tokenizer(scratch.path().string()); }),
              HasSubstr("has no tokenizer.json and no tokenizer.model"));
  EXPECT_THAT(testing::problem_of([] { make_tokenizer("Byte"); }),
              AllOf(HasSubstr("\"Byte\""), HasSubstr("expected \"byte\"")));
  EXPECT_THAT(testing::problem_of([] { make_tokenizer(""); }), HasSubstr("expected \"byte\""));
  EXPECT_THAT(testing::problem_of([] { make_tokenizer("byte", "0"); }), HasSubstr("has its own"));
}

TEST(MakeTokenizer, FindsTheFileInAFolder) {
  const testing::Scratch scratch;
  EXPECT_EQ(find_tokenizer(scratch.path()), "");
  testing::write_file(scratch / "tokenizer.model", "");
  EXPECT_EQ(find_tokenizer(scratch.path()), scratch / "tokenizer.model");
  testing::write_file(scratch / "tokenizer.json", "");
  EXPECT_EQ(find_tokenizer(scratch.path()), scratch / "tokenizer.json");
  for (const char* repeats : {R"("BPE", "byte_fallback": true)", R"("Unigram")"}) {
    testing::write_file(scratch / "tokenizer.json",
                        R"({"model": {"type": )" + std::string(repeats) + "}}");
    EXPECT_EQ(find_tokenizer(scratch.path()), scratch / "tokenizer.model") << repeats;
  }
  testing::write_file(scratch / "tokenizer.json", R"({"model": {"type": "BPE"}})");
  EXPECT_EQ(find_tokenizer(scratch.path()), scratch / "tokenizer.json");
}

}  // namespace
}  // namespace longhaul::data
