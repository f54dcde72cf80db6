// Which documents a tokenize job keeps from training.
#include "data/held_out.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "data/file_io.h"
#include "data/tokenize.h"
#include "tests/data/compressed.h"
#include "tests/data/scratch.h"

namespace longhaul::data {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::problem_of;
using testing::write_file;

std::string record(const std::string& text) { return nlohmann::json{{"text", text}}.dump() + "\n"; }

std::string text_of(int i) { return "document " + std::to_string(i); }

class HeldOut : public ::testing::Test {
 protected:
  HeldOut() { job_.held_out_share = 0.2; }

  TokenizeProgress run(const std::vector<std::string>& inputs) {
    job_.inputs.clear();
    for (const auto& input : inputs) job_.inputs.push_back(scratch_ / input);
    job_.output = scratch_ / "out";
    job_.held_out_output = scratch_ / "out_held_out";
    return tokenize(*tokenizer_, job_);
  }

  std::vector<std::string> documents(const std::string& name) const {
    const TokenFolder folder(scratch_ / name);
    std::vector<std::string> texts;
    for (int64_t i = 0; i < folder.documents(); ++i) {
      const int64_t begin = folder.document_begin(i);
      std::vector<int32_t> tokens(static_cast<size_t>(folder.document_begin(i + 1) - begin));
      folder.read(begin, tokens);
      texts.emplace_back();
      for (const int32_t token : tokens) texts.back() += tokenizer_->decode(token);
    }
    return texts;
  }
  std::set<std::string> held_out() const {
    const auto texts = documents("out_held_out");
    return {texts.begin(), texts.end()};
  }

  void write_records(const std::string& name, int begin, int end) const {
    std::string records;
    for (int i = begin; i < end; ++i) records += record(text_of(i));
    write_file(scratch_ / name, records);
  }

  testing::Scratch scratch_;
  std::unique_ptr<Tokenizer> tokenizer_ = make_tokenizer("byte");
  TokenizeJob job_;
};

TEST_F(HeldOut, ShareOfTheDocumentsByTheRuleAndEveryOneOnce) {
  write_records("a.jsonl", 0, 1000);
  const auto progress = run({"a.jsonl"});
  std::vector<std::string> train, kept;
  for (int i = 0; i < 1000; ++i) {
    const double place = crc32(text_of(i)) / 4294967296.0;
    (place < 0.2 ? kept : train).push_back(text_of(i));
  }
  EXPECT_EQ(documents("out"), train);
  EXPECT_EQ(documents("out_held_out"), kept);
  EXPECT_NEAR(static_cast<double>(kept.size()), 200, 40);
  EXPECT_EQ(progress.documents, std::ssize(train));
  EXPECT_EQ(progress.held_out_documents, std::ssize(kept));
  EXPECT_EQ(progress.tokens, TokenFolder(scratch_ / "out").tokens());
  EXPECT_EQ(progress.held_out_tokens, TokenFolder(scratch_ / "out_held_out").tokens());
}

TEST_F(HeldOut, OrderThreadsAndLaterDocumentsMoveNone) {
  write_records("a.jsonl", 0, 300);
  write_records("b.jsonl", 300, 400);
  run({"a.jsonl"});
  const auto before = held_out();
  job_.threads = 3;
  run({"b.jsonl", "a.jsonl"});
  const auto after = held_out();
  EXPECT_GT(after.size(), before.size());
  for (const auto& text : before) EXPECT_TRUE(after.contains(text)) << text;
  for (const auto& text : documents("out")) EXPECT_FALSE(before.contains(text)) << text;
  job_.held_out_share = 0.4;
  run({"a.jsonl"});
  for (const auto& text : before) EXPECT_TRUE(held_out().contains(text)) << text;
}

TEST_F(HeldOut, DuplicatesAreOnOneSideWhateverFileTheyAreIn) {
  for (int i = 0; i < 40; ++i) write_file(scratch_ / ("in/" + std::to_string(i)), text_of(i));
  std::string records;
  for (int i = 0; i < 40; ++i) records += record(text_of(i));
  write_file(scratch_ / "copy.jsonl.gz", testing::gzip(records));
  run({"in", "copy.jsonl.gz"});
  EXPECT_EQ(documents("out_held_out").size(), 2 * held_out().size());
  for (const auto& text : documents("out")) EXPECT_FALSE(held_out().contains(text)) << text;
}

TEST_F(HeldOut, DocumentOfManyPiecesStaysWhole) {
  std::vector<std::string> names, texts;
  for (int i = 0; i < 8; ++i) {
    names.push_back("f" + std::to_string(i));
    texts.push_back(text_of(i) + std::string((1u << 20) + 3, static_cast<char>('a' + i)));
    write_file(scratch_ / names.back(), texts.back());
  }
  job_.held_out_share = 0.5;
  run(names);
  auto all = documents("out");
  EXPECT_THAT(all, Not(IsEmpty()));
  for (const auto& text : documents("out_held_out")) all.push_back(text);
  std::sort(all.begin(), all.end());
  EXPECT_TRUE(all == texts);
}

TEST_F(HeldOut, TextThatGrowsStaysOnItsSide) {
  const std::string text(size_t{64} << 10, 'x');
  EXPECT_EQ(document_key(text + "more"), document_key(text));
  EXPECT_NE(document_key(text.substr(1)), document_key(text));
}

TEST_F(HeldOut, BothFoldersNoteTheRuleAndKeepTheTokenizer) {
  job_.tokenizer_files = {{"tokenizer.json", "{}"}};
  write_records("a.jsonl", 0, 100);
  run({"a.jsonl"});
  for (const std::string name : {"out", "out_held_out"}) {
    const auto manifest =
        nlohmann::json::parse(testing::read_file(scratch_ / (name + "/manifest.json")));
    EXPECT_EQ(manifest.at("split").at("share"), 0.2);
    EXPECT_EQ(manifest.at("split").at("held_out"), name != "out");
    EXPECT_THAT(manifest.at("split").at("rule").get<std::string>(), HasSubstr("CRC-32"));
    EXPECT_EQ(testing::read_file(scratch_ / (name + "/tokenizer/tokenizer.json")), "{}");
    const TokenFolder folder(scratch_ / name);
    ASSERT_TRUE(folder.split());
    EXPECT_EQ(folder.split()->is_held_out, name != "out");
  }
  job_.held_out_share = 0;
  run({"a.jsonl"});
  EXPECT_FALSE(TokenFolder(scratch_ / "out").split());
  EXPECT_THAT(testing::read_file(scratch_ / "out/manifest.json"), Not(HasSubstr("split")));
}

TEST_F(HeldOut, ManifestOfAnImpossibleSplitIsRefused) {
  write_records("a.jsonl", 0, 100);
  run({"a.jsonl"});
  const auto file = scratch_ / "out/manifest.json";
  auto manifest = nlohmann::json::parse(testing::read_file(file));
  manifest["split"]["share"] = "NaN";
  manifest["split"]["rule"] = "";
  write_file(file, manifest.dump());
  EXPECT_THAT(problem_of([&] { TokenFolder(scratch_ / "out"); }),
              AllOf(HasSubstr("split.share"), HasSubstr("split.rule")));
}

TEST_F(HeldOut, OfOneFileOfTextTheEnd) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "line " + std::to_string(10000 + i) + "\n";  // 11 bytes
  write_file(scratch_ / "a.txt", text);
  job_.held_out_share = 0.1;
  run({"a.txt"});
  EXPECT_THAT(documents("out"), ElementsAre(text.substr(0, 900 * 11)));
  EXPECT_THAT(documents("out_held_out"), ElementsAre(text.substr(900 * 11)));
  EXPECT_THAT(TokenFolder(scratch_ / "out").split()->rule, HasSubstr("the end of the file"));
}

TEST_F(HeldOut, EndOfOneFileBeginsWithALineOrACharacter) {
  std::string text;
  for (int i = 0; i < 500; ++i) text += "ä";
  write_file(scratch_ / "a.txt", text);
  EXPECT_EQ(begin_of_end(scratch_ / "a.txt", 1000, 0.101), 900);  // 899 is inside a character
  write_file(scratch_ / "b.txt", std::string(905, 'x') + "\n" + std::string(94, 'y'));
  EXPECT_EQ(begin_of_end(scratch_ / "b.txt", 1000, 0.1), 906);
  EXPECT_EQ(begin_of_end(scratch_ / "b.txt", 1000, 0.2), 800) << "the next line is far";
}

TEST_F(HeldOut, NothingHeldOutOrNothingLeftNamesAShareThatWouldDo) {
  write_records("a.jsonl", 0, 3);
  uint32_t least = UINT32_MAX, most = 0;
  for (int i = 0; i < 3; ++i) {
    least = std::min(least, document_key(text_of(i)));
    most = std::max(most, document_key(text_of(i)));
  }
  EXPECT_TRUE(is_held_out(least, share_at(least, true)));
  EXPECT_FALSE(is_held_out(most, share_at(most, false)));
  job_.held_out_share = 1e-9;
  EXPECT_THAT(problem_of([&] { run({"a.jsonl"}); }),
              AllOf(HasSubstr("1e-09 holds out none of 3 documents"),
                    HasSubstr(core::message("with ", share_at(least, true), " there"))));
  job_.held_out_share = 0.9999999;
  EXPECT_THAT(problem_of([&] { run({"a.jsonl"}); }),
              AllOf(HasSubstr("leaves none of 3 documents"),
                    HasSubstr(core::message("with ", share_at(most, false), " there"))));
  write_records("one.jsonl", 0, 1);
  EXPECT_THAT(problem_of([&] { run({"one.jsonl"}); }), HasSubstr("of 1 document, expected two"));
  write_file(scratch_ / "tiny.txt", "a");
  job_.held_out_share = 0.1;
  EXPECT_THAT(problem_of([&] { run({"tiny.txt"}); }), HasSubstr("holds out none of 1 document"));
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "out"));
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "out_held_out"));
}

TEST_F(HeldOut, AFailedRunKeepsBothOldFolders) {
  write_records("a.jsonl", 0, 100);
  run({"a.jsonl"});
  const auto train = documents("out"), kept = documents("out_held_out");
  write_file(scratch_ / "bad.jsonl", "x");
  problem_of([&] { run({"a.jsonl", "bad.jsonl"}); });
  job_.held_out_share = 1e-9;
  problem_of([&] { run({"a.jsonl"}); });
  EXPECT_EQ(documents("out"), train);
  EXPECT_EQ(documents("out_held_out"), kept);
  EXPECT_THAT(testing::names_in(scratch_.path()),
              ElementsAre("a.jsonl", "bad.jsonl", "out", "out_held_out"));
}

TEST_F(HeldOut, OwnOutputsInsideTheInputAreLeftOut) {
  write_records("in/a.jsonl", 0, 100);
  for (int round = 0; round < 2; ++round) EXPECT_EQ(run({""}).files, 1);
}

TEST_F(HeldOut, FoldersInEachOtherAreRefused) {
  write_records("a.jsonl", 0, 100);
  job_.inputs = {scratch_ / "a.jsonl"};
  job_.output = scratch_ / "out";
  for (const std::string name : {"out", "out/", "out/held", "."}) {
    job_.held_out_output = scratch_ / name;
    EXPECT_THAT(problem_of([&] { tokenize(*tokenizer_, job_); }), HasSubstr("apart from")) << name;
  }
  EXPECT_THAT(testing::names_in(scratch_.path()), ElementsAre("a.jsonl"));
}

TEST(HeldOutBeside, IsNamedAfterTheFolder) {
  EXPECT_EQ(held_out_beside("a/tokens"), "a/tokens_held_out");
  EXPECT_EQ(held_out_beside("tokens/"), "tokens_held_out");
  EXPECT_EQ(held_out_beside("./tokens"), "tokens_held_out");
}

}  // namespace
}  // namespace longhaul::data
