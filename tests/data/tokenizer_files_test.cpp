#include "data/tokenizer_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/data/tokenizer_file.h"

namespace longhaul::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::Scratch;
using testing::write_file;

std::vector<std::string> names_of(const std::vector<TokenizerFile>& files) {
  std::vector<std::string> names;
  for (const auto& file : files) names.push_back(file.name);
  return names;
}

TEST(TokenizerFiles, AreTheTokenizersAndNoOthers) {
  const Scratch scratch;
  for (const char* name :
       {"tokenizer.json", "chat_template.jinja", "tokenizer_config.json", "model.safetensors"})
    write_file(scratch / name, "{}");
  write_file(scratch / "mine.json", "{\"mine\": 1}");
  const auto read = [&](const std::string& name) {
    return read_tokenizer_files((scratch / name).string());
  };
  const auto all = ElementsAre("tokenizer.json", "tokenizer_config.json", "chat_template.jinja");
  EXPECT_THAT(names_of(read("")), all);
  EXPECT_THAT(names_of(read("tokenizer.json")), all);
  EXPECT_THAT(names_of(read("mine.json")), ElementsAre("tokenizer.json", "tokenizer_config.json"));
  EXPECT_EQ(read("mine.json")[0].text, "{\"mine\": 1}");
  EXPECT_THAT(read_tokenizer_files("byte"), IsEmpty());
}

TEST(TokenizerFiles, SayTheEndOfDocumentThatWasChosen) {
  const Scratch scratch;
  auto json = testing::byte_level_json({});
  testing::add_token(json, "<end>", {{"special", true}});
  const auto tokenizer = testing::made(scratch, json, "256");
  write_file(scratch / "tokenizer_config.json", R"({"eos_token": "a", "model_max_length": 7})");
  auto files = read_tokenizer_files(scratch.path().string());
  keep_end_of_document(*tokenizer, files);
  for (const auto& file : files) write_file(scratch / ("kept/" + file.name), file.text);
  EXPECT_EQ(make_tokenizer((scratch / "kept").string())->end_of_document(), 256);
  EXPECT_THAT(files[1].text, HasSubstr("\"model_max_length\": 7"));
  // Else transformers would take it for a GPT-NeoX tokenizer.
  EXPECT_THAT(files[1].text, HasSubstr("\"tokenizer_class\": \"PreTrainedTokenizerFast\""));
  files[1].text = R"({"tokenizer_class": "LlamaTokenizer"})";
  keep_end_of_document(*tokenizer, files);
  EXPECT_THAT(files[1].text, HasSubstr("\"tokenizer_class\": \"LlamaTokenizer\""));
}

TEST(TokenizerFiles, AreGivenAClassWhereTheyNameNone) {
  EXPECT_TRUE(names_tokenizer_class(R"({"tokenizer_class": "A"})"));
  EXPECT_TRUE(names_tokenizer_class(R"({"auto_map": {}})"));
  for (const char* broken : {"", "[]", "{"}) EXPECT_TRUE(names_tokenizer_class(broken)) << broken;
  EXPECT_FALSE(names_tokenizer_class("{}"));
  EXPECT_FALSE(names_tokenizer_class(R"({"tokenizer_class": null, "b": 1})"));
  const std::string config = with_tokenizer_class(R"({"b": 1, "a": 2})", "<end>");
  EXPECT_EQ(config,
            "{\n  \"b\": 1,\n  \"a\": 2,\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n"
            "  \"eos_token\": \"<end>\"\n}\n");
  EXPECT_THAT(with_tokenizer_class(R"({"eos_token": null})", "<end>"), Not(HasSubstr("<end>")));
  EXPECT_THAT(with_tokenizer_class("{}", ""), Not(HasSubstr("eos_token")));
}

TEST(TokenizerFiles, LieInTheTokenFolderAndAreReplacedWithIt) {
  const Scratch scratch;
  const std::string name = "t " + identity_of_tokenizer_text("{}");
  const auto write = [&](const std::vector<TokenizerFile>& files) {
    TokenFolderWriter writer(scratch / "out",
                             {.tokenizer = name, .vocabulary = 9, .end_of_document = 0});
    writer.add_document(std::vector<int32_t>{1});
    writer.keep_tokenizer(files);
    writer.finish();
  };
  write({{.name = "tokenizer.json", .text = "{}"}, {.name = "merges.txt", .text = "m"}});
  EXPECT_EQ(TokenFolder(scratch / "out").kept_tokenizer(), scratch / "out/tokenizer");
  EXPECT_EQ(testing::read_file(scratch / "out/tokenizer/merges.txt"), "m");
  EXPECT_EQ(recorded_tokenizer(scratch / "out"), name);
  write_file(scratch / "out/tokenizer/tokenizer.json", "[]");
  EXPECT_THAT(testing::problem_of([&] { TokenFolder(scratch / "out").kept_tokenizer(); }),
              HasSubstr("is damaged, expected the tokenizer 't (CRC-32 "));
  EXPECT_EQ(recorded_tokenizer(scratch / "nowhere"), "");
  write({});
  EXPECT_EQ(TokenFolder(scratch / "out").kept_tokenizer(), "");
  write_file(scratch / "out/tokenizer/thesis.tex", "x");
  EXPECT_THAT(testing::problem_of([&] { write({}); }), HasSubstr("it holds tokenizer"));
}

}  // namespace
}  // namespace longhaul::data
