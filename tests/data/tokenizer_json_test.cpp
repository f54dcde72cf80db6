// What a tokenizer.json may not say, and how it is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>

#include "data/bpe/pattern.h"
#include "tests/data/tokenizer_file.h"

namespace longhaul::data {
namespace {

using nlohmann::json;
using testing::add_token;
using ::testing::AllOf;
using testing::byte_level_json;
using ::testing::HasSubstr;
using testing::problem_of;

class TokenizerJson : public ::testing::Test {
 protected:
  std::string problem(const json& file, const std::string& end_of_document = "0") {
    return problem_of([&] { testing::made(scratch_, file, end_of_document); });
  }
  /// With `value` at the JSON pointer `place`.
  std::string problem_with(const std::string& place, const json& value) {
    json file = byte_level_json({{"a", "b"}});
    file[json::json_pointer(place)] = value;
    const std::string what = problem(file);
    EXPECT_THAT(what, HasSubstr((scratch_ / "tokenizer.json").string() + ": "));
    return what;
  }
  testing::Scratch scratch_;
};

TEST_F(TokenizerJson, PartsThatAreNotUnderstoodAreNamed) {
  EXPECT_THAT(problem_with("/normalizer", {{"type", "NFKC"}}),
              AllOf(HasSubstr("normalizer.type: "), HasSubstr("NFKC")));
  EXPECT_THAT(
      problem_with("/normalizer", {{"type", "Sequence"}, {"normalizers", {{{"type", "Prepend"}}}}}),
      HasSubstr("normalizer.normalizers[0].type: "));
  EXPECT_THAT(problem_with("/pre_tokenizer", nullptr),
              HasSubstr("pre_tokenizer: has no ByteLevel"));
  EXPECT_THAT(problem_with("/pre_tokenizer/type", "Metaspace"), HasSubstr("pre_tokenizer.type: "));
  EXPECT_THAT(problem_with("/pre_tokenizer/more", 1), HasSubstr("\"more\""));
  EXPECT_THAT(problem_with("/decoder", nullptr), HasSubstr("decoder: is missing"));
  EXPECT_THAT(problem_with("/decoder/type", "Fuse"), HasSubstr("decoder.type: "));
  EXPECT_THAT(problem_with("/post_processor", {{"type", "BertProcessing"}}),
              HasSubstr("post_processor.type: "));
  EXPECT_THAT(problem_with("/truncation", {{"max_length", 8}}), HasSubstr("truncation: "));
  EXPECT_THAT(problem_with("/padding", {{"strategy", "BatchLongest"}}), HasSubstr("padding: "));
  EXPECT_THAT(problem_with("/extra", 1), HasSubstr("\"extra\""));
  EXPECT_THAT(problem_with("/model/type", "Unigram"),
              AllOf(HasSubstr("model.type: "), HasSubstr("Unigram")));
  EXPECT_THAT(problem_with("/model/byte_fallback", true), HasSubstr("model.byte_fallback: "));
  EXPECT_THAT(problem_with("/model/dropout", 0.1), HasSubstr("model.dropout: "));
  EXPECT_THAT(problem_with("/model/end_of_word_suffix", "</w>"),
              HasSubstr("model.end_of_word_suffix: "));
  EXPECT_THAT(problem_with("/model/other", 1), HasSubstr("model: has the key \"other\""));
}

/// A hundred thousand, in a time that grows as their number does.
TEST_F(TokenizerJson, ManyAddedTokensAreReadSoon) {
  json file = byte_level_json({});
  for (int i = 0; i < 100000; ++i) add_token(file, "<" + std::to_string(i) + ">");
  const std::clock_t start = std::clock();
  EXPECT_EQ(testing::made(scratch_, file)->vocabulary(), 100256);
  EXPECT_LT(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, 8);
}

TEST_F(TokenizerJson, SplitsThatAreNotUnderstoodAreNamed) {
  const auto with = [&](const json& pattern, const std::string& behavior) {
    const json split{{"type", "Split"}, {"pattern", pattern}, {"behavior", behavior}};
    const json bytes{{"type", "ByteLevel"}};
    return problem_with("/pre_tokenizer",
                        {{"type", "Sequence"}, {"pretokenizers", {split, bytes}}});
  };
  EXPECT_THAT(with({{"Regex", "a"}}, "MergedWithNext"),
              HasSubstr("pre_tokenizer.pretokenizers[0].behavior: "));
  EXPECT_THAT(with({{"Regex", "(?<=a)b"}}, "Isolated"),
              HasSubstr("pre_tokenizer.pretokenizers[0].pattern: pattern, at byte 0: "));
  EXPECT_THAT(with(json::object(), "Isolated"), HasSubstr("expected one of Regex and String"));
}

TEST_F(TokenizerJson, ByteLevelMustBeTheLast) {
  const json bytes{{"type", "ByteLevel"}};
  const json digits{{"type", "Digits"}, {"individual_digits", true}};
  EXPECT_THAT(
      problem_with("/pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {bytes, digits}}}),
      HasSubstr("pre_tokenizer.pretokenizers[1]: follows ByteLevel"));
}

TEST_F(TokenizerJson, WrongValuesAreNamed) {
  EXPECT_THAT(problem_with("/model/vocab/a", -1), HasSubstr("model.vocab.a: is -1"));
  EXPECT_THAT(problem_with("/model/vocab/a", 98), HasSubstr("have the same number 98"));
  EXPECT_THAT(problem_with("/model/merges", {"a b c"}), HasSubstr("model.merges[0]: "));
  EXPECT_THAT(problem_with("/model/merges", {"ab"}), HasSubstr("model.merges[0]: "));
  EXPECT_THAT(problem_with("/model/merges", {"a c"}),
              AllOf(HasSubstr("model.merges[0]"), HasSubstr("\"ac\"")));
  EXPECT_THAT(problem_with("/model/merges", 5), HasSubstr("model.merges: is 5, expected a list"));
  json lacking = byte_level_json({});
  lacking["model"]["vocab"].erase("x");
  lacking["model"]["vocab"]["xx"] = int{'x'};
  EXPECT_THAT(problem(lacking), HasSubstr("no token \"x\" for the byte 120"));
}

TEST_F(TokenizerJson, AddedTokensMustHaveTheNumbersThatReadersGiveThem) {
  json file = byte_level_json({});
  add_token(file, "<a>");
  file["added_tokens"][0]["id"] = 300;
  EXPECT_THAT(problem(file), AllOf(HasSubstr("added_tokens[0].id: is 300"), HasSubstr("256")));
  file["added_tokens"][0] = {{"id", 256}, {"content", "x"}};
  EXPECT_THAT(problem(file), AllOf(HasSubstr("is 256"), HasSubstr("120 as in model.vocab")));
}

TEST_F(TokenizerJson, NoJsonNoFileNoObject) {
  const auto content = [&](const std::string& text) {
    testing::write_file(scratch_ / "tokenizer.json", text);
    return problem_of([&] { make_tokenizer((scratch_ / "tokenizer.json").string()); });
  };
  EXPECT_THAT(content("[1]"), HasSubstr("tokenizer.json: is no JSON object"));
  EXPECT_THAT(content("{\"model\": "), HasSubstr("tokenizer.json: is no JSON object"));
  EXPECT_THAT(content(""), HasSubstr("tokenizer.json"));
  EXPECT_THAT(content("{}"), HasSubstr("model: is missing"));
}

TEST_F(TokenizerJson, EndOfDocumentIsChosenByARule) {
  json file = byte_level_json({});
  EXPECT_THAT(problem(file, ""), HasSubstr("has none of the usual tokens"));
  const int32_t endoftext = add_token(file, "<|endoftext|>", {{"special", true}});
  const int32_t turn = add_token(file, "<|turn|>", {{"special", true}});
  EXPECT_EQ(testing::made(scratch_, file, "")->end_of_document(), endoftext);
  EXPECT_EQ(testing::made(scratch_, file, "<|turn|>")->end_of_document(), turn);
  EXPECT_EQ(testing::made(scratch_, file, "17")->end_of_document(), 17);
  EXPECT_THAT(problem(file, "<|none|>"), HasSubstr("<|none|>"));
  EXPECT_THAT(problem(file, "258"), HasSubstr("less than 258"));
  testing::write_file(scratch_ / "tokenizer_config.json", R"({"eos_token": "<|turn|>"})");
  EXPECT_EQ(testing::made(scratch_, file, "")->end_of_document(), turn);
  testing::write_file(scratch_ / "tokenizer_config.json",
                      R"({"eos_token": {"content": "<|gone|>"}})");
  EXPECT_THAT(problem(file, ""), AllOf(HasSubstr("tokenizer_config.json"), HasSubstr("<|gone|>")));
}

TEST(Pattern, RefusesWhatTheDialectsReadDifferently) {
  for (const std::string pattern :
       {"^a",         "a$",     R"(\w)",       R"(\b)",  R"(\h)",  R"(\v)", R"([\S])",
        R"(\p{Han})", "[a&&b]", "[[:alpha:]]", "(?<=a)", "(?m:a)", "(?#c)", "a{1,2}+",
        "a{,2}",      "a{",     "a**",         "[]a]",   "[a",     "(a",    "\xff"})
    EXPECT_NE(Pattern::problem_of(pattern), "") << pattern;
  for (const std::string pattern :
       {R"(\s+(?!\S)|\s)", R"([^\r\n\p{L}\p{N}]?\p{L}+)", R"(\p{N}{1,3}|a)", "a*?b++", R"(\.\-)"})
    EXPECT_EQ(Pattern::problem_of(pattern), "") << pattern;
}

TEST(Pattern, WhiteSpaceIsUnicodes) {
  const Pattern pattern(R"(\s)");
  Pattern::Scratch scratch;
  EXPECT_TRUE(pattern.find("\u00A0", 0, scratch).found);
  EXPECT_TRUE(pattern.find("\u0085", 0, scratch).found);
  EXPECT_FALSE(pattern.find("\u180E", 0, scratch).found);
  EXPECT_FALSE(pattern.find("\u200B", 0, scratch).found);
}

TEST(Pattern, ThatNeedsTooManyStepsIsAnError) {
  const Pattern pattern("(a|aa)+[bc]");
  Pattern::Scratch scratch;
  EXPECT_THAT(problem_of([&] { pattern.find(std::string(100, 'a'), 0, scratch); }),
              HasSubstr("cannot be matched"));
}

}  // namespace
}  // namespace longhaul::data
