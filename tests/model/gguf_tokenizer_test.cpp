// Tokenizers as GGUF carries them.
#include "model/checkpoint/gguf/gguf_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "tests/model/scratch_folder.h"

namespace longhaul::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::input_error_of;
using ::testing::IsEmpty;
using testing::put_content;

constexpr const char* kByteLevel =
    R"({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true})";

class GgufTokenizerFile : public ::testing::Test {
 protected:
  static std::string json(const std::string& pre, const std::string& model,
                          const std::string& normalizer = "null") {
    return R"({"version": "1.0", "added_tokens": [
        {"id": 4, "content": "<|endoftext|>", "special": true},
        {"id": 5, "content": "  ", "special": false}],
      "normalizer": )" +
           normalizer + R"(, "pre_tokenizer": )" + pre + R"(, "model": )" + model + "}";
  }
  static std::string model(const std::string& merges = R"(["a b", "Ġ a"])") {
    return R"({"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "Ġa": 3}, "merges": )" + merges +
           "}";
  }
  GgufTokenizer read(const std::string& text, int64_t rows = 8, const std::string& pre = "") {
    put_content(scratch_ / "tokenizer.json", text);
    return read_gguf_tokenizer(scratch_.path(), rows, pre);
  }
  std::string refusal(const std::string& text, int64_t rows = 8) {
    return input_error_of([&] { read(text, rows); });
  }

  testing::ScratchFolder scratch_;
};

TEST_F(GgufTokenizerFile, TokensTypesMergesAndPadding) {
  const GgufTokenizer tokenizer = read(json(kByteLevel, model()));
  EXPECT_EQ(tokenizer.model, "gpt2");
  EXPECT_EQ(tokenizer.pre, "gpt-2");
  EXPECT_THAT(tokenizer.tokens,
              ElementsAre("a", "b", "ab", "Ġa", "<|endoftext|>", "  ", "[PAD6]", "[PAD7]"));
  EXPECT_THAT(tokenizer.types, ElementsAre(1, 1, 1, 1, 3, 4, 5, 5));
  EXPECT_THAT(tokenizer.merges, ElementsAre("a b", "Ġ a"));
  EXPECT_EQ(tokenizer.special.at("eos"), 4);  // by its usual name
  EXPECT_TRUE(tokenizer.notes.empty());
}

TEST_F(GgufTokenizerFile, SpecialTokensOfItsConfiguration) {
  put_content(scratch_ / "tokenizer_config.json",
              R"({"bos_token": {"content": "ab"}, "eos_token": "b", "unk_token": null,
                  "pad_token": "nothing", "chat_template": "{{ messages }}"})");
  const GgufTokenizer tokenizer = read(json(kByteLevel, model(R"([["a", "b"]])")));
  EXPECT_EQ(tokenizer.special, (std::map<std::string, int64_t>{{"bos", 2}, {"eos", 1}}));
  EXPECT_EQ(tokenizer.chat_template, "{{ messages }}");
  EXPECT_THAT(tokenizer.merges, ElementsAre("a b"));
}

TEST_F(GgufTokenizerFile, ChatTemplateOfItsConfigurationOrOfAFile) {
  const auto found = [&] { return read(json(kByteLevel, model())).chat_template; };
  EXPECT_EQ(found(), "");
  put_content(scratch_ / "chat_template.jinja", "{{ file }}\n");
  EXPECT_EQ(found(), "{{ file }}\n");
  put_content(scratch_ / "tokenizer_config.json", R"({"chat_template": null})");
  EXPECT_EQ(found(), "{{ file }}\n");
  put_content(scratch_ / "tokenizer_config.json", R"({"chat_template": "{{ config }}"})");
  EXPECT_EQ(found(), "{{ config }}");  // as llama.cpp's converter
  put_content(scratch_ / "tokenizer_config.json", R"({"chat_template": [
      {"name": "tool_use", "template": "{{ tools }}"}, {"name": "default", "template": "{{ x }}"}]})");
  EXPECT_EQ(found(), "{{ x }}");
  EXPECT_THAT(read(json(kByteLevel, model())).notes,
              ElementsAre(HasSubstr("chat template \"tool_use\" is left out")));
  put_content(scratch_ / "tokenizer_config.json", "{}");
  put_content(scratch_ / "chat_template.jinja", "\xff");
  EXPECT_THAT(input_error_of(found), HasSubstr("chat_template.jinja: is no UTF-8"));
}

TEST_F(GgufTokenizerFile, BeginAndEndOfItsPostProcessor) {
  const auto framed = [&](const std::string& single) {
    auto root = nlohmann::json::parse(json(kByteLevel, model()));
    const nlohmann::json frame = {{"type", "TemplateProcessing"},
                                  {"single", nlohmann::json::parse(single)}};
    root["post_processor"] = {{"type", "Sequence"},
                              {"processors", {{{"type", "ByteLevel"}}, frame}}};
    return read(root.dump());
  };
  const std::string text = R"({"Sequence": {"id": "A"}})", a = R"({"SpecialToken": {"id": "a"}})",
                    end = R"({"SpecialToken": {"id": "<|endoftext|>"}})";
  GgufTokenizer tokenizer = framed("[" + text + "]");
  EXPECT_FALSE(tokenizer.add_bos || tokenizer.add_eos);
  tokenizer = framed("[" + a + "," + text + "]");
  EXPECT_TRUE(tokenizer.add_bos);
  EXPECT_FALSE(tokenizer.add_eos);
  EXPECT_EQ(tokenizer.special.at("bos"), 0);
  EXPECT_THAT(tokenizer.notes, IsEmpty());
  tokenizer = framed("[" + end + "," + text + "," + end + "]");
  EXPECT_TRUE(tokenizer.add_bos && tokenizer.add_eos);
  EXPECT_EQ(tokenizer.special.at("bos"), 4);
  // What GGUF has no word for.
  tokenizer = framed("[" + text + "," + a + "]");
  EXPECT_FALSE(tokenizer.add_eos);
  EXPECT_EQ(tokenizer.special.at("eos"), 4);
  EXPECT_THAT(tokenizer.notes, ElementsAre(HasSubstr("puts no \"a\" behind a text")));
  tokenizer = framed("[" + a + "," + end + "," + text + "]");
  EXPECT_FALSE(tokenizer.add_bos);
  EXPECT_THAT(tokenizer.notes, ElementsAre(HasSubstr("puts no \"a\" and more before a text")));
  put_content(scratch_ / "tokenizer_config.json", R"({"bos_token": "b", "add_bos_token": true})");
  EXPECT_FALSE(framed("[" + a + "," + text + "]").add_bos);
  EXPECT_FALSE(read(json(kByteLevel, model())).add_bos);
  auto root = nlohmann::json::parse(json(kByteLevel, model()));
  root["post_processor"] = {{"type", "RobertaProcessing"}};
  EXPECT_THAT(read(root.dump()).notes, ElementsAre(HasSubstr("RobertaProcessing")));
}

TEST_F(GgufTokenizerFile, PreTokenizersByTheirPatterns) {
  const auto split = [](const std::string& digits) {
    return R"({"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex":
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|)" +
           digits +
           R"(| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
      "behavior": "Isolated", "invert": false},
      {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})";
  };
  EXPECT_EQ(read(json(split(R"(\\p{N}{1,3})"), model())).pre, "llama-bpe");
  EXPECT_EQ(read(json(split(R"(\\p{N})"), model())).pre, "qwen2");
  EXPECT_THAT(refusal(json(split(R"(\\p{N}{1,2})"), model())),
              HasSubstr("name in llama.cpp is not known here; give it with --pre-tokenizer"));
  EXPECT_EQ(read(json(split(R"(\\p{N}{1,2})"), model()), 8, "mine").pre, "mine");
}

TEST_F(GgufTokenizerFile, WhatGgufCannotExpressIsRefusedByItsPart) {
  EXPECT_THAT(refusal(json(kByteLevel, R"({"type": "Unigram", "vocab": [], "merges": []})")),
              HasSubstr("tokenizer.json: model.type: is \"Unigram\""));
  EXPECT_THAT(refusal(json(R"({"type": "Metaspace"})", model())), HasSubstr("pre_tokenizer: is"));
  EXPECT_THAT(refusal(json("null", model())), HasSubstr("pre_tokenizer: is null"));
  EXPECT_THAT(refusal(json(R"({"type": "ByteLevel", "add_prefix_space": true})", model())),
              HasSubstr("pre_tokenizer.add_prefix_space: true"));
  EXPECT_THAT(refusal(json(kByteLevel, model(), R"({"type": "Lowercase"})")),
              HasSubstr("normalizer: is {\"type\":\"Lowercase\"}"));
  EXPECT_THAT(read(json(kByteLevel, model(), R"({"type": "NFC"})")).notes,
              ElementsAre(HasSubstr("NFC")));
  EXPECT_THAT(refusal(json(kByteLevel, model(R"(["a b c"])"))), HasSubstr("model.merges: holds"));
  EXPECT_THAT(refusal(json(kByteLevel, model()), 5),
              HasSubstr("added_tokens: \"  \" has the id 5, the embedding has 5 rows"));
  EXPECT_THAT(
      refusal(json(kByteLevel, R"({"type": "BPE", "vocab": {"a": 0, "b": 0}, "merges": []})")),
      HasSubstr("have the same id 0"));
  EXPECT_THAT(refusal("{}"), HasSubstr("model.type: is \"\""));
  EXPECT_THAT(refusal("[]"), HasSubstr("expected a JSON object"));
}

TEST(ByteGgufTokenizer, IsByteLevelBpeWithoutMerges) {
  const GgufTokenizer tokenizer = byte_gguf_tokenizer(260);
  EXPECT_EQ(tokenizer.tokens['a'], "a");
  EXPECT_EQ(tokenizer.tokens[' '], "Ġ");
  EXPECT_EQ(tokenizer.tokens['\n'], "Ċ");
  EXPECT_EQ(tokenizer.tokens[0], "Ā");
  EXPECT_EQ(tokenizer.tokens[0x7f], "ġ");
  EXPECT_EQ(tokenizer.tokens[0xad], "Ń");
  EXPECT_EQ(tokenizer.tokens[0xe9], "é");
  EXPECT_EQ(tokenizer.tokens[0xff], "ÿ");
  EXPECT_EQ(tokenizer.tokens[256], "<|endoftext|>");
  EXPECT_EQ(tokenizer.special.at("eos"), 256);
  const std::set<std::string> different(tokenizer.tokens.begin(), tokenizer.tokens.end());
  EXPECT_EQ(different.size(), 260u);
  EXPECT_TRUE(tokenizer.merges.empty());
  EXPECT_THAT(input_error_of([] { byte_gguf_tokenizer(256); }), HasSubstr("a vocabulary of 256"));
}

}  // namespace
}  // namespace longhaul::model
