// SentencePiece models in GGUF, and every tokenizer of a GGUF file back as files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "data/tokenizer.h"
#include "model/checkpoint/gguf/gguf_tokenizer.h"
#include "model/checkpoint/gguf/gguf_tokenizer_files.h"
#include "model/checkpoint/number_bytes.h"
#include "tests/model/scratch_folder.h"
#include "tests/model/sentencepiece_bytes.h"

namespace longhaul::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::input_error_of;
using testing::protobuf_field;
using testing::put_content;
using testing::sentencepiece_bytes;

const std::vector<testing::PieceToStore> kPieces = {
    {"<unk>", 0, 2}, {"<s>", 0, 3},  {"</s>", 0, 3}, {"<0x41>", 0, 6}, {"\u2581a", -1},
    {"b", -2},       {"\u2581", -3}, {"a", -4},      {"<user>", 0, 4}};
const std::string kBpe = protobuf_field(3, 2), kUnigram = protobuf_field(3, 1);
const std::string kNoCollapse = protobuf_field(4, 0);

class GgufPieces : public ::testing::Test {
 protected:
  GgufTokenizer read(const std::string& bytes, int64_t rows = 11) {
    put_content(scratch_ / "tokenizer.model", bytes);
    return read_gguf_tokenizer(scratch_.path(), rows, "");
  }
  /// Of a file with nothing but the tokenizer's keys.
  static GgufTokenizerFiles files_of(const GgufKeys& keys) {
    std::string bytes;
    append_number(bytes, kGgufMagic);
    append_number(bytes, kGgufVersion);
    append_number(bytes, uint64_t{0});
    append_number(bytes, keys.count());
    bytes += keys.bytes();
    bytes.resize((bytes.size() + kGgufAlignment - 1) / kGgufAlignment * kGgufAlignment, '\0');
    return gguf_tokenizer_files(parse_gguf_header(bytes, "some.gguf"), "some.gguf");
  }
  static GgufTokenizerFiles back(const GgufTokenizer& tokenizer) {
    GgufKeys keys;
    append_tokenizer(tokenizer, keys);
    return files_of(keys);
  }
  std::unique_ptr<data::Tokenizer> from(const GgufTokenizerFiles& files, const char* folder) {
    const auto to = scratch_ / folder;
    std::filesystem::create_directories(to);
    for (const BesideFile& file : files.files) put_content(to / file.name, file.text);
    return data::make_tokenizer(to.string());
  }
  static std::vector<int32_t> tokens(const data::Tokenizer& tokenizer, const std::string& text) {
    std::vector<int32_t> tokens;
    tokenizer.encode(text, tokens);
    return tokens;
  }

  testing::ScratchFolder scratch_;
};

TEST_F(GgufPieces, TokensScoresTypesAndPadding) {
  const GgufTokenizer tokenizer = read(sentencepiece_bytes(kPieces, kBpe, kNoCollapse));
  EXPECT_EQ(tokenizer.model, "llama");
  EXPECT_THAT(tokenizer.tokens, ElementsAre("<unk>", "<s>", "</s>", "<0x41>", "\u2581a", "b",
                                            "\u2581", "a", "<user>", "[PAD9]", "[PAD10]"));
  EXPECT_THAT(tokenizer.types, ElementsAre(2, 3, 3, 6, 1, 1, 1, 1, 4, 5, 5));
  EXPECT_THAT(tokenizer.pieces.scores, ElementsAre(0, 0, 0, 0, -1, -2, -3, -4, 0, -1000, -1000));
  EXPECT_EQ(tokenizer.special,
            (std::map<std::string, int64_t>{{"bos", 1}, {"eos", 2}, {"unknown", 0}}));
  EXPECT_TRUE(tokenizer.pieces.add_space_prefix);
  EXPECT_FALSE(tokenizer.pieces.remove_extra_whitespaces);
  EXPECT_TRUE(tokenizer.add_bos);
  EXPECT_TRUE(tokenizer.notes.empty());
}

TEST_F(GgufPieces, UnigramKeepsItsNormalizer) {
  const std::string normalizer =
      protobuf_field(1, "nmt_nfkc") + protobuf_field(2, "map") + protobuf_field(3, 0);
  const GgufTokenizer tokenizer = read(sentencepiece_bytes(kPieces, kUnigram, normalizer));
  EXPECT_EQ(tokenizer.model, "t5");
  EXPECT_EQ(tokenizer.pieces.charsmap, "map");
  EXPECT_FALSE(tokenizer.pieces.add_space_prefix);
  EXPECT_TRUE(tokenizer.pieces.remove_extra_whitespaces);
  EXPECT_THAT(read(sentencepiece_bytes(kPieces, kBpe, normalizer)).notes,
              ElementsAre(HasSubstr("nmt_nfkc"), HasSubstr("spaces")));
}

TEST_F(GgufPieces, ConfigurationOfTheTokenizerCounts) {
  put_content(scratch_ / "tokenizer_config.json",
              R"({"eos_token": "<user>", "add_bos_token": false, "add_eos_token": true,
                  "chat_template": "{{ x }}"})");
  const GgufTokenizer tokenizer = read(sentencepiece_bytes(kPieces, kBpe, kNoCollapse));
  EXPECT_EQ(tokenizer.special.at("eos"), 8);
  EXPECT_FALSE(tokenizer.add_bos);
  EXPECT_TRUE(tokenizer.add_eos);
  EXPECT_EQ(tokenizer.chat_template, "{{ x }}");
}

TEST_F(GgufPieces, IsReadBesideAJsonOfTheSameTokenizer) {
  put_content(scratch_ / "tokenizer.json", R"({"model": {"type": "BPE", "byte_fallback": true}})");
  EXPECT_EQ(read(sentencepiece_bytes(kPieces, kBpe, kNoCollapse)).model, "llama");
  put_content(scratch_ / "tokenizer.json", R"({"model": {"type": "BPE"}})");
  EXPECT_THAT(input_error_of([&] { read(""); }), HasSubstr("tokenizer.json: "));
}

TEST_F(GgufPieces, WhatGgufCannotExpressIsRefused) {
  const auto refusal = [&](const std::string& bytes, int64_t rows = 11) {
    return input_error_of([&] { read(bytes, rows); });
  };
  EXPECT_THAT(refusal(""), HasSubstr("tokenizer.model: is no SentencePiece model"));
  EXPECT_THAT(refusal("\xff\xff"), HasSubstr("is no SentencePiece model"));
  EXPECT_THAT(refusal(sentencepiece_bytes(kPieces, kBpe, ""), 8),
              HasSubstr("has 9 pieces, the embedding has 8 rows"));
  EXPECT_THAT(refusal(sentencepiece_bytes(kPieces, protobuf_field(3, 4), "")),
              HasSubstr("trainer_spec.model_type is 4"));
  EXPECT_THAT(refusal(sentencepiece_bytes(kPieces, kBpe, protobuf_field(5, 0))),
              HasSubstr("escape_whitespaces"));
  EXPECT_THAT(refusal(sentencepiece_bytes({{"<unk>", 0, 9}}, kBpe, "")),
              HasSubstr("piece 0 has the unknown type 9"));
}

TEST_F(GgufPieces, ComeBackAsTheSameTokenizer) {
  auto pieces = kPieces;
  pieces[3] = {"A", -5};  // SentencePiece wants all bytes or none
  for (const std::string& kind : {kBpe, kUnigram}) {
    const std::string bytes = sentencepiece_bytes(pieces, kind, kNoCollapse);
    const GgufTokenizerFiles files = back(read(bytes));
    const auto theirs = data::make_tokenizer(scratch_.path().string());
    const auto ours = from(files, "back");
    EXPECT_EQ(ours->vocabulary(), 9);
    EXPECT_EQ(ours->end_of_document(), 2);
    for (const char* text : {"ab a", "A", "", "b  <user>ba"}) {
      EXPECT_EQ(tokens(*ours, text), tokens(*theirs, text)) << text;
    }
    EXPECT_EQ(files.ids.bos, "1");
    EXPECT_EQ(files.ids.eos, "2");
    EXPECT_EQ(files.ids.pad, "null");
    EXPECT_EQ(nlohmann::json::parse(files.files.at(1).text)["tokenizer_class"],
              "PreTrainedTokenizerFast");
  }
}

TEST_F(GgufPieces, ByteLevelComesBackAsTheSameTokenizer) {
  GgufTokenizer tokenizer = byte_gguf_tokenizer(300);
  tokenizer.tokens[257] = "ab";
  tokenizer.tokens[258] = "<user>";
  tokenizer.types[257] = kGgufNormal;
  tokenizer.types[258] = kGgufUserDefined;
  tokenizer.merges = {"a b"};
  tokenizer.chat_template = "{{ x }}";
  const auto ours = from(back(tokenizer), "back");
  EXPECT_EQ(ours->vocabulary(), 259);
  EXPECT_EQ(ours->end_of_document(), 256);
  EXPECT_EQ(tokens(*ours, "ab\n<user>b"), (std::vector<int32_t>{257, 10, 258, 98}));
  const auto config = nlohmann::json::parse(back(tokenizer).files.at(1).text);
  EXPECT_EQ(config["eos_token"], "<|endoftext|>");
  EXPECT_EQ(config["chat_template"], "{{ x }}");
  EXPECT_EQ(config["tokenizer_class"], "PreTrainedTokenizerFast");
}

TEST_F(GgufPieces, WhatStandsAroundATextComesBack) {
  GgufTokenizer tokenizer = byte_gguf_tokenizer(300);
  tokenizer.tokens[257] = "<s>";
  tokenizer.types[257] = kGgufNormal;  // llama.cpp takes it for special all the same
  tokenizer.special["bos"] = 257;
  EXPECT_EQ(from(back(tokenizer), "none")->frame().before, std::vector<int32_t>{});
  tokenizer.add_bos = true;
  const auto begun = from(back(tokenizer), "bos");
  EXPECT_EQ(begun->frame().before, std::vector<int32_t>{257});
  EXPECT_EQ(begun->frame().after, std::vector<int32_t>{});
  tokenizer.add_eos = true;
  EXPECT_EQ(from(back(tokenizer), "both")->frame().after, std::vector<int32_t>{256});
  const auto config = nlohmann::json::parse(back(tokenizer).files.at(1).text);
  EXPECT_EQ(config["add_bos_token"], true);
  EXPECT_EQ(config["add_eos_token"], true);
  // And out again.
  EXPECT_TRUE(read_gguf_tokenizer(scratch_ / "both", 300, "").add_eos);
  EXPECT_FALSE(read_gguf_tokenizer(scratch_ / "bos", 300, "").add_eos);
  EXPECT_EQ(read_gguf_tokenizer(scratch_ / "bos", 300, "").special.at("bos"), 257);
  EXPECT_TRUE(read_gguf_tokenizer(scratch_ / "bos", 300, "").add_bos);
  EXPECT_FALSE(read_gguf_tokenizer(scratch_ / "none", 300, "").add_bos);
}

TEST_F(GgufPieces, LlamaCppsOwnDefaultsHoldWhereAFileIsSilent) {
  const auto before = [&](const char* pre) {
    GgufKeys keys;
    keys.string("tokenizer.ggml.model", "gpt2");
    keys.string("tokenizer.ggml.pre", pre);
    keys.strings("tokenizer.ggml.tokens", {"a", "b"});
    keys.u32("tokenizer.ggml.bos_token_id", 1);
    return nlohmann::json::parse(files_of(keys).files.at(1).text)["add_bos_token"];
  };
  EXPECT_EQ(before("llama-bpe"), true);
  EXPECT_EQ(before("gpt-2"), false);
}

TEST_F(GgufPieces, WhatIsNotKnownIsLeftOutWithItsReason) {
  EXPECT_EQ(back({}).missing, "");
  EXPECT_TRUE(back({}).files.empty());
  GgufTokenizer tokenizer = byte_gguf_tokenizer(257);
  tokenizer.pre = "mine";
  EXPECT_THAT(back(tokenizer).missing, HasSubstr("pre-tokenizer \"mine\""));
  tokenizer.model = "rwkv";
  EXPECT_THAT(back(tokenizer).missing, HasSubstr("kind \"rwkv\""));
  auto pieces = kPieces;
  pieces[0].type = 1;
  EXPECT_THAT(back(read(sentencepiece_bytes(pieces, kBpe, ""))).missing,
              HasSubstr("0 unknown tokens"));
}

TEST_F(GgufPieces, KeysThatContradictEachOtherAreRefused) {
  const auto refusal = [](const GgufTokenizer& tokenizer) {
    return input_error_of([&] { back(tokenizer); });
  };
  const GgufTokenizer sound = byte_gguf_tokenizer(257);
  GgufTokenizer tokenizer = sound;
  tokenizer.types.pop_back();
  EXPECT_THAT(refusal(tokenizer), HasSubstr("token_type\": has 256 entries for 257 tokens"));
  tokenizer = sound;
  tokenizer.tokens[4] = tokenizer.tokens[5];
  EXPECT_THAT(refusal(tokenizer), HasSubstr("stands twice"));
  tokenizer = sound;
  tokenizer.special["bos"] = 257;
  EXPECT_THAT(refusal(tokenizer), HasSubstr("bos_token_id\": is 257, there are 257 tokens"));
  tokenizer = sound;
  tokenizer.tokens[4] = "\xff";
  EXPECT_THAT(refusal(tokenizer), HasSubstr("no UTF-8"));
  tokenizer = read(sentencepiece_bytes(kPieces, kBpe, ""));
  tokenizer.pieces.scores.resize(3);
  EXPECT_THAT(refusal(tokenizer), HasSubstr("scores\": has 3 entries for 9 tokens"));
  GgufKeys keys;
  keys.string("tokenizer.ggml.model", "llama");
  keys.i32s("tokenizer.ggml.tokens", {1});
  EXPECT_THAT(input_error_of([&] { files_of(keys); }),
              HasSubstr("key \"tokenizer.ggml.tokens\": is"));
}

}  // namespace
}  // namespace longhaul::model
