#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "data/tokenize.h"
#include "kernels/core/random.h"
#include "tests/data/tokenizer_file.h"

namespace longhaul::data {
namespace {

using nlohmann::json;
using testing::add_token;
using ::testing::AllOf;
using testing::byte_level_json;
using ::testing::ElementsAre;
using testing::encoded;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::made;
using testing::problem_of;

class ByteLevelBpe : public ::testing::Test {
 protected:
  testing::Scratch scratch_;
};

TEST_F(ByteLevelBpe, BestRankFirstLeftmostFirst) {
  // 256 = "aa", 257 = "ab", 258 = "aab"
  const auto tokenizer = made(scratch_, byte_level_json({{"a", "a"}, {"a", "b"}, {"aa", "b"}}));
  EXPECT_THAT(encoded(*tokenizer, "a"), ElementsAre('a'));
  EXPECT_THAT(encoded(*tokenizer, "ab"), ElementsAre(257));
  EXPECT_THAT(encoded(*tokenizer, "aab"), ElementsAre(258));        // not a + ab
  EXPECT_THAT(encoded(*tokenizer, "aaab"), ElementsAre(256, 257));  // the left two first
  EXPECT_THAT(encoded(*tokenizer, "aaaaa"), ElementsAre(256, 256, 'a'));
  EXPECT_EQ(tokenizer->vocabulary(), 259);
}

TEST_F(ByteLevelBpe, WordsEndWhereGpt2sPatternSays) {
  // 256 = " t", 257 = "ts", 258 = "t'"
  const auto tokenizer = made(scratch_, byte_level_json({{"Ġ", "t"}, {"t", "s"}, {"t", "'"}}));
  EXPECT_THAT(encoded(*tokenizer, "t t"), ElementsAre('t', 256));
  EXPECT_THAT(encoded(*tokenizer, "t  t"), ElementsAre('t', ' ', 256));  // the last space is t's
  EXPECT_THAT(encoded(*tokenizer, "t's"), ElementsAre('t', '\'', 's'));
  EXPECT_THAT(encoded(*tokenizer, "ts"), ElementsAre(257));
  EXPECT_THAT(encoded(*tokenizer, "t1s"), ElementsAre('t', '1', 's'));
}

TEST_F(ByteLevelBpe, LongWordsGoByTheSameRule) {
  core::RandomStream random({8, 0, core::RandomPurpose::kTest});
  std::vector<std::pair<std::string, std::string>> merges;
  merges.emplace_back("a", "a");  // of three in a row, the left two
  std::vector<std::string> known{"a", "b", "c", "aa"};
  for (int i = 0; i < 40; ++i) {
    const auto pick = [&] { return known[random.below(known.size())]; };
    const std::pair merge{pick(), pick()};
    const std::string whole = merge.first + merge.second;
    if (std::find(known.begin(), known.end(), whole) != known.end()) continue;
    known.push_back(whole);
    merges.push_back(merge);
  }
  const json file = byte_level_json(merges);
  const auto tokenizer = made(scratch_, file);
  for (int round = 0; round < 50; ++round) {
    std::string word(1 + random.below(200), ' ');
    for (char& c : word) c = static_cast<char>('a' + random.below(3));
    // The rule as it is said: the first merge of the list that is possible, at its first place.
    std::vector<std::string> parts;
    for (const char c : word) parts.emplace_back(1, c);
    for (bool merged = true; merged;) {
      merged = false;
      for (size_t m = 0; m < merges.size() && !merged; ++m)
        for (size_t i = 0; i + 1 < parts.size() && !merged; ++i)
          if (parts[i] == merges[m].first && parts[i + 1] == merges[m].second) {
            parts[i] += parts[i + 1];
            parts.erase(parts.begin() + static_cast<ptrdiff_t>(i) + 1);
            merged = true;
          }
    }
    std::vector<int32_t> expected;
    for (const auto& part : parts) expected.push_back(file["model"]["vocab"][part]);
    EXPECT_EQ(encoded(*tokenizer, word), expected) << word;
  }
}

TEST_F(ByteLevelBpe, MergesMayBePairs) {
  json file = byte_level_json({{"x", "y"}});
  file["model"]["merges"] = json::array({json::array({"x", "y"})});
  EXPECT_THAT(encoded(*made(scratch_, file), "xy"), ElementsAre(256));
}

TEST_F(ByteLevelBpe, IgnoreMergesTakesWholeWords) {
  json file = byte_level_json({{"x", "y"}});
  file["model"]["vocab"]["xyz"] = 257;  // no merge leads to it
  EXPECT_THAT(encoded(*made(scratch_, file), "xyz"), ElementsAre(256, 'z'));
  file["model"]["ignore_merges"] = true;
  EXPECT_THAT(encoded(*made(scratch_, file), "xyz"), ElementsAre(257));
  EXPECT_THAT(encoded(*made(scratch_, file), "xyzz"), ElementsAre(256, 'z', 'z'));
}

TEST_F(ByteLevelBpe, InvalidUtf8BecomesReplacementCharacters) {
  const auto tokenizer = made(scratch_, byte_level_json({}));
  EXPECT_THAT(encoded(*tokenizer, "a\xff"), ElementsAre('a', 0xEF, 0xBF, 0xBD));
  EXPECT_THAT(encoded(*tokenizer, "\xE2\x82"), ElementsAre(0xEF, 0xBF, 0xBD));  // one, cut off
  EXPECT_EQ(tokenizer->text(encoded(*tokenizer, "\xC3\xA9")), "\xC3\xA9");
  const std::vector<int32_t> half{0xC3};
  EXPECT_EQ(tokenizer->text(half), "\xEF\xBF\xBD");
  EXPECT_EQ(tokenizer->decode(0xC3), "\xC3");
  EXPECT_THAT(encoded(*tokenizer, ""), IsEmpty());
}

TEST_F(ByteLevelBpe, AddedTokensAreFoundFirst) {
  json file = byte_level_json({});
  const int32_t end = add_token(file, "<e>", {{"special", true}});
  const int32_t longer = add_token(file, "<e>>");
  const int32_t left = add_token(file, "<l>", {{"lstrip", true}});
  const int32_t right = add_token(file, "<r>", {{"rstrip", true}});
  const int32_t word = add_token(file, "cat", {{"single_word", true}});
  const auto tokenizer = made(scratch_, file, "<e>");
  EXPECT_EQ(tokenizer->end_of_document(), end);
  EXPECT_THAT(encoded(*tokenizer, "a<e>b"), ElementsAre('a', end, 'b'));
  EXPECT_THAT(encoded(*tokenizer, "<e>>"), ElementsAre(end, '>'));  // special ones come first …
  file["added_tokens"][1]["normalized"] = false;                    // … unless both are raw
  EXPECT_THAT(encoded(*made(scratch_, file, "0"), "<e>>"), ElementsAre(longer));
  EXPECT_THAT(encoded(*tokenizer, "a \n <l> b"), ElementsAre('a', left, ' ', 'b'));
  EXPECT_THAT(encoded(*tokenizer, "a <r> \n b"), ElementsAre('a', ' ', right, 'b'));
  EXPECT_THAT(encoded(*tokenizer, "cat"), ElementsAre(word));
  EXPECT_THAT(encoded(*tokenizer, "cats"), ElementsAre('c', 'a', 't', 's'));
  EXPECT_THAT(encoded(*tokenizer, "cat-"), ElementsAre(word, '-'));
  EXPECT_EQ(tokenizer->text(std::vector<int32_t>{'a', end, word}), "acat");
}

TEST_F(ByteLevelBpe, NfcJoinsMarks) {
  json file = byte_level_json({});
  file["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "NFC"}}}}};
  const auto tokenizer = made(scratch_, file);
  EXPECT_THAT(encoded(*tokenizer, "e\u0301"), ElementsAre(0xC3, 0xA9));
  // U+1AC1 came with Unicode 14: no reordering with it.
  const std::string newer = "\u1AC1\u0334";
  EXPECT_EQ(tokenizer->text(encoded(*tokenizer, newer)), newer);
}

TEST_F(ByteLevelBpe, PrefixSpaceBeforeEachPiece) {
  json file = byte_level_json({});
  file["pre_tokenizer"]["add_prefix_space"] = true;
  const int32_t cut = add_token(file, "<|>");
  EXPECT_THAT(encoded(*made(scratch_, file), "a<|>b"), ElementsAre(' ', 'a', cut, ' ', 'b'));
  EXPECT_THAT(encoded(*made(scratch_, file), " a"), ElementsAre(' ', 'a'));
}

TEST_F(ByteLevelBpe, SplitsKeepOrDropMatches) {
  json file = byte_level_json({{"x", "x"}, {"-", "-"}});
  const auto split = [&](const std::string& behavior, bool invert) {
    const json by_pattern{{"type", "Split"},
                          {"pattern", {{"Regex", "-"}}},
                          {"behavior", behavior},
                          {"invert", invert}};
    const json bytes{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
    file["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {by_pattern, bytes}}};
    return encoded(*made(scratch_, file), "xx--xx");
  };
  EXPECT_THAT(split("Isolated", false), ElementsAre(256, '-', '-', 256));
  EXPECT_THAT(split("Removed", false), ElementsAre(256, 256));
  EXPECT_THAT(split("Removed", true), ElementsAre('-', '-'));
}

TEST_F(ByteLevelBpe, FrameOfThePostProcessor) {
  json file = byte_level_json({});
  const int32_t begin = add_token(file, "<b>", {{"special", true}});
  const int32_t end = add_token(file, "<e>", {{"special", true}});
  const auto special = [](const std::string& token) {
    return json{{"SpecialToken", {{"id", token}, {"type_id", 0}}}};
  };
  file["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single", {special("<b>"), {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}, special("<e>")}},
      {"pair", json::array()},
      {"special_tokens", json::object()}};
  const auto frame = made(scratch_, file)->frame();
  EXPECT_THAT(frame.before, ElementsAre(begin));
  EXPECT_THAT(frame.after, ElementsAre(end));
}

TEST_F(ByteLevelBpe, JobsCutLongDocumentsAndFrameThem) {
  json file = byte_level_json({{"Ġ", "t"}, {"a", "b"}});
  const int32_t begin = add_token(file, "<b>", {{"special", true}});
  const json special{{"SpecialToken", {{"id", "<b>"}, {"type_id", 0}}}};
  const json text{{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  file["post_processor"] = {{"type", "TemplateProcessing"}, {"single", {special, text}}};
  const auto tokenizer = made(scratch_, file);
  std::string document;
  for (int i = 0; i < 100000; ++i) document += i % 7 == 0 ? "ab tab\n" : " ab t";
  testing::write_file(scratch_ / "a.txt", document);
  tokenize(
      *tokenizer,
      {.inputs = {scratch_ / "a.txt"}, .output = scratch_ / "out", .frame = true, .threads = 3});
  std::vector<int32_t> expected{begin};
  tokenizer->encode(document, expected);
  expected.push_back(tokenizer->end_of_document());
  EXPECT_EQ(testing::read_all(TokenFolder(scratch_ / "out")), expected);
}

TEST_F(ByteLevelBpe, CutsChangeNothing) {
  const auto tokenizer = made(scratch_, byte_level_json({{"Ġ", "t"}, {"Ġ", "Ġ"}}));
  const std::string text = "the   t'ime 7 is  \n out: of  t";
  int cuts = 0;
  for (size_t size = 1; size <= text.size(); ++size) {
    const size_t cut = tokenizer->safe_cut(std::string_view(text).substr(0, size), 0);
    if (cut == 0) continue;
    ++cuts;
    auto tokens = encoded(*tokenizer, text.substr(0, cut));
    tokenizer->encode(text.substr(cut), tokens);
    EXPECT_EQ(tokens, encoded(*tokenizer, text)) << cut;
  }
  EXPECT_GT(cuts, 10);
  json across = byte_level_json({});
  add_token(across, "a b");
  EXPECT_EQ(made(scratch_, across)->safe_cut(text, 0), 0u);
  json other = byte_level_json({});
  other["pre_tokenizer"]["use_regex"] = false;
  EXPECT_EQ(made(scratch_, other)->safe_cut(text, 0), 0u);
}

TEST_F(ByteLevelBpe, ThreadsMayShareOne) {
  const auto tokenizer = made(scratch_, byte_level_json({{"Ġ", "t"}, {"a", "b"}}));
  const std::string text(50000, 't');
  const auto expected = encoded(*tokenizer, text + " ab t");
  std::vector<std::vector<int32_t>> found(4);
  std::vector<std::thread> threads;
  for (auto& tokens : found)
    threads.emplace_back([&] { tokenizer->encode(text + " ab t", tokens); });
  for (auto& thread : threads) thread.join();
  for (const auto& tokens : found) EXPECT_EQ(tokens, expected);
}

}  // namespace
}  // namespace longhaul::data
