// GGUF: its head, hostile ones included, Q8_0, and Mamba-2 in it and back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/core/random.h"
#include "model/architecture.h"
#include "model/checkpoint/gguf/gguf_header.h"
#include "model/checkpoint/gguf/gguf_model.h"
#include "model/checkpoint/gguf/q8_0.h"
#include "model/checkpoint/model_writing.h"
#include "tests/model/scratch_folder.h"
#include "tests/model/tiny_model.h"
#include "tests/model/torch_bytes.h"

namespace longhaul::model {
namespace {

using testing::content_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::input_error_of;
using testing::number_bytes;

std::string text(const std::string& bytes) { return number_bytes(uint64_t{bytes.size()}) + bytes; }
std::string key(const std::string& name, GgufValueType type, const std::string& value) {
  return text(name) + number_bytes(static_cast<uint32_t>(type)) + value;
}
std::string tensor(const std::string& name, const std::vector<uint64_t>& extents, uint32_t type,
                   uint64_t offset) {
  std::string bytes = text(name) + number_bytes(static_cast<uint32_t>(extents.size()));
  for (const uint64_t extent : extents) bytes += number_bytes(extent);
  return bytes + number_bytes(type) + number_bytes(offset);
}
std::string gguf(const std::vector<std::string>& keys, const std::vector<std::string>& tensors,
                 size_t data_bytes, uint32_t version = 3) {
  std::string bytes = "GGUF" + number_bytes(version) + number_bytes(uint64_t{tensors.size()}) +
                      number_bytes(uint64_t{keys.size()});
  for (const auto& one : keys) bytes += one;
  for (const auto& one : tensors) bytes += one;
  bytes.resize((bytes.size() + 31) / 32 * 32, '\0');
  return bytes + std::string(data_bytes, 'x');
}

TEST(GgufHeader, ValuesAndTensors) {
  const std::string bytes =
      gguf({key("a", GgufValueType::kU8, "\xff"), key("b", GgufValueType::kI8, "\xff"),
            key("c", GgufValueType::kF32, number_bytes(0.5f)),
            key("d", GgufValueType::kBool, "\x01"), key("e", GgufValueType::kString, text("hé")),
            key("f", GgufValueType::kArray,
                number_bytes(uint32_t{8}) + number_bytes(uint64_t{2}) + text("x") + text("")),
            key("g", GgufValueType::kI64, number_bytes(int64_t{-7}))},
           {tensor("w", {32, 3}, 8, 0), tensor("v", {4}, 0, 128)}, 144);
  const GgufHeader header = parse_gguf_header(bytes, "f");
  EXPECT_EQ(header.values.at("a").integer, 255);
  EXPECT_EQ(header.values.at("b").integer, -1);
  EXPECT_EQ(header.values.at("c").number, 0.5);
  EXPECT_EQ(header.values.at("d").shown(), "true");
  EXPECT_EQ(header.values.at("e").text, "hé");
  EXPECT_THAT(strings_of(header.values.at("f")), ElementsAre("x", ""));
  EXPECT_EQ(header.values.at("g").integer, -7);
  ASSERT_EQ(header.tensors.size(), 2u);
  EXPECT_EQ(header.tensors[0].shape, core::Shape({3, 32}));
  EXPECT_EQ(header.tensors[0].end - header.tensors[0].begin, 3u * 34);
  EXPECT_EQ(header.tensors[1].end, bytes.size());
}

struct Broken {
  const char* name;
  std::string bytes;
  const char* expected;
};

std::vector<Broken> broken_heads() {
  const auto with_key = [](const std::string& one) { return gguf({one}, {}, 0); };
  const auto with_tensor = [](const std::string& one) { return gguf({}, {one}, 64); };
  const std::string alignment = "general.alignment";
  const auto u32 = GgufValueType::kU32;
  std::string many = gguf({}, {}, 0);
  many.replace(8, 8, number_bytes(uint64_t{1} << 40));
  return {
      {"Empty", "", "is no GGUF file"},
      {"OtherMagic", "GGUX" + std::string(60, '\0'), "is no GGUF file"},
      {"Version1", gguf({}, {}, 0, 1), "version 1"},
      {"BigEndian", gguf({}, {}, 0, 0x03000000), "big-endian"},
      {"OnlyMagic", "GGUF\x03" + std::string(3, '\0'), "truncated"},
      {"ManyTensors", many, "claims 1099511627776 tensors"},
      {"LongKey", with_key(number_bytes(~uint64_t{0}) + "a"), "truncated"},
      {"EmptyKey", with_key(key("", u32, "1234")), "a key of 0 bytes"},
      {"UnknownType", with_key(key("a", static_cast<GgufValueType>(99), "1234")),
       "key \"a\": is of type 99"},
      {"KeyTwice", gguf({key("a", u32, "1234"), key("a", u32, "1234")}, {}, 0),
       "key \"a\": is there twice"},
      {"LongString", with_key(key("a", GgufValueType::kString, number_bytes(uint64_t{1} << 60))),
       "truncated"},
      {"LongArray",
       with_key(key("a", GgufValueType::kArray,
                    number_bytes(uint32_t{5}) + number_bytes(uint64_t{1} << 62))),
       "an array of"},
      {"LongStrings",
       with_key(key("a", GgufValueType::kArray,
                    number_bytes(uint32_t{8}) + number_bytes(uint64_t{1} << 62))),
       "truncated"},
      {"NestedArrays",
       with_key(
           key("a", GgufValueType::kArray, number_bytes(uint32_t{9}) + number_bytes(uint64_t{1}))),
       "key \"a\": is of type 9"},
      {"Alignment3", with_key(key(alignment, u32, number_bytes(uint32_t{3}))), "alignment\": is 3"},
      {"Alignment0", with_key(key(alignment, u32, number_bytes(uint32_t{0}))), "alignment\": is 0"},
      {"AlignmentText", with_key(key(alignment, GgufValueType::kString, text("32"))), "is \"32\""},
      {"LongName", with_tensor(tensor(std::string(64, 'n'), {1}, 0, 0)), "a name of 64 bytes"},
      {"FiveDimensions", with_tensor(tensor("w", {1, 1, 1, 1, 1}, 0, 0)), "has 5 dimensions"},
      {"ZeroExtent", with_tensor(tensor("w", {0}, 0, 0)), "an extent of 0"},
      {"Overflow", with_tensor(tensor("w", {uint64_t{1} << 40, uint64_t{1} << 40}, 0, 0)),
       "an extent of"},
      {"Q4", with_tensor(tensor("w", {32}, 2, 0)), "is of ggml type 2"},
      {"HalfABlock", with_tensor(tensor("w", {48}, 8, 0)), "no multiple of 32"},
      {"Unaligned", with_tensor(tensor("w", {1}, 0, 4)), "begins at 4, no multiple of 32"},
      {"BeyondEnd", with_tensor(tensor("w", {17}, 0, 0)), "the data has 64"},
      {"OffsetWraps", with_tensor(tensor("w", {1}, 0, ~uint64_t{31})), "the data has 64"},
      {"NameTwice", gguf({}, {tensor("w", {1}, 0, 0), tensor("w", {1}, 0, 32)}, 64),
       "tensor \"w\": is there twice"},
      {"Overlap", gguf({}, {tensor("w", {16}, 0, 0), tensor("v", {1}, 0, 32)}, 64),
       "\"w\" and \"v\": overlap"},
  };
}

class BrokenGguf : public ::testing::TestWithParam<Broken> {};

TEST_P(BrokenGguf, IsRefusedByName) {
  EXPECT_THAT(input_error_of([] { parse_gguf_header(GetParam().bytes, "some.gguf"); }),
              AllOf(::testing::StartsWith("some.gguf: "), HasSubstr(GetParam().expected)));
}
INSTANTIATE_TEST_SUITE_P(Head, BrokenGguf, ::testing::ValuesIn(broken_heads()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Q8_0, ByHand) {
  std::array<float, 32> values{};
  values[0] = 127;
  values[1] = -127;
  values[2] = 0.5f;  // half away from zero
  values[3] = -2.5f;
  values[4] = 2.4f;
  std::array<char, kQ8Bytes> block{};
  ASSERT_TRUE(quantize_q8_0(values.data(), block.data()));
  EXPECT_EQ(std::string(block.data(), 2), std::string("\x00\x3c", 2));  // 1 as fp16
  EXPECT_THAT(std::vector<int>(block.begin() + 2, block.begin() + 8),
              ElementsAre(127, -127, 1, -3, 2, 0));
  dequantize_q8_0(block.data(), values.data());
  EXPECT_EQ(values[3], -3);
}

TEST(Q8_0, EveryValueIsWithinHalfAStep) {
  std::array<float, 32> values{}, back{};
  std::array<char, kQ8Bytes> block{};
  core::RandomStream random({.seed = 9, .step = 0, .purpose = core::RandomPurpose::kTest});
  for (int round = 0; round < 1000; ++round) {
    const float scale = std::exp2(static_cast<float>(random.below(15)) - 5);
    float largest = 0;
    for (float& value : values) {
      value = (static_cast<float>(random.below(20001)) / 10000 - 1) * scale;
      largest = std::max(largest, std::fabs(value));
    }
    ASSERT_TRUE(quantize_q8_0(values.data(), block.data()));
    dequantize_q8_0(block.data(), back.data());
    for (size_t i = 0; i < values.size(); ++i) {
      // Half a step, and the rounding of the scale to 11 bits.
      ASSERT_NEAR(back[i], values[i], largest / 127 * (0.5 + 127 * 0x1p-11) * 1.001) << round;
    }
  }
}

TEST(Q8_0, ZerosAndWhatDoesNotFit) {
  std::array<float, 32> values{};
  std::array<char, kQ8Bytes> block{};
  EXPECT_TRUE(quantize_q8_0(values.data(), block.data()));
  EXPECT_EQ(std::string(block.data(), block.size()), std::string(kQ8Bytes, '\0'));
  values[7] = 1e-42f;  // 1/scale would be infinite
  EXPECT_TRUE(quantize_q8_0(values.data(), block.data()));
  for (const float wrong :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 1e8f}) {
    values[7] = wrong;
    EXPECT_FALSE(quantize_q8_0(values.data(), block.data())) << wrong;
  }
}

TEST(LogOfDecay, BringsEveryStoredDecayBack) {
  core::RandomStream random({.seed = 1, .step = 0, .purpose = core::RandomPurpose::kTest});
  for (int i = 0; i < 100'000; ++i) {
    const float a_log = static_cast<float>(random.below(1 << 24)) / (1 << 22) - 1;  // −1 to 3
    const float decay = -static_cast<float>(std::exp(static_cast<double>(a_log)));
    const float found = log_of_decay(decay);
    ASSERT_EQ(-static_cast<float>(std::exp(static_cast<double>(found))), decay) << a_log;
    if (a_log >= 1) {
      ASSERT_EQ(found, a_log);  // exp is injective on floats there
    }
  }
  EXPECT_TRUE(std::isnan(log_of_decay(0)));
  EXPECT_TRUE(std::isnan(log_of_decay(1)));
}

class GgufModel : public ::testing::Test {
 protected:
  GgufModel() {
    config_ = testing::tiny_config();
    config_.width = 64;
    config_.heads = 8;
    config_.head_dim = 16;
    config_.groups = 4;
    config_.chunk = 256;
    config_.tied = false;
  }
  std::vector<TensorStream> streams() {
    model_ = std::make_unique<LanguageModel>(context_, config_);
    testing::randomize(*model_, 3);
    return streams_of(model_->parameters());
  }
  void write(const GgufOptions& options = {}) {
    write_gguf_model(config_, streams(), path(), options);
  }
  std::filesystem::path path() const { return scratch_ / "m.gguf"; }
  std::string refusal(const GgufOptions& options = {}) {
    return input_error_of([&] { write(options); });
  }

  core::Context context_{core::Device{}, 1};
  testing::ScratchFolder scratch_;
  ModelConfig config_;
  std::unique_ptr<LanguageModel> model_;
};

TEST_F(GgufModel, RoundTripsBitExactInF32ButForALog) {
  for (const bool tied : {false, true}) {
    config_.tied = tied;
    write();
    const StoredModel read = open_stored_model(path());
    EXPECT_EQ(read.format, ModelFormat::kGguf);
    EXPECT_EQ(read.config.groups, 4);
    EXPECT_EQ(read.config.head_dim, 16);
    EXPECT_EQ(read.config.tied, tied);
    EXPECT_EQ(read.config.norm_epsilon, 1e-5);
    const auto written = streams_of(model_->parameters());
    ASSERT_EQ(read.tensors.size(), written.size());
    for (size_t i = 0; i < written.size(); ++i) {
      EXPECT_EQ(read.tensors[i].name, written[i].name);
      ASSERT_EQ(read.tensors[i].shape, written[i].shape);
      if (!written[i].name.ends_with(".A_log")) {
        EXPECT_TRUE(same_values(read.tensors[i], written[i])) << written[i].name;
      }
    }
    // What was read, written again, is the same file: also −exp(A_log).
    write_gguf_model(read.config, read.tensors, scratch_ / "again.gguf", {});
    EXPECT_EQ(content_of(scratch_ / "again.gguf"), content_of(path()));
  }
}

TEST_F(GgufModel, MatricesTakeTheTypeTheRestIsF32) {
  for (const auto type : {GgufTensorType::kF16, GgufTensorType::kBF16, GgufTensorType::kQ8}) {
    GgufOptions options;
    options.type = type;
    write(options);
    const GgufFile file(path());
    for (const GgufTensor& tensor : file.header().tensors) {
      const bool is_matrix = tensor.name.ends_with("ssm_in.weight") ||
                             tensor.name.ends_with("ssm_out.weight") ||
                             tensor.name == "token_embd.weight" || tensor.name == "output.weight";
      EXPECT_EQ(tensor.type, is_matrix ? type : GgufTensorType::kF32) << tensor.name;
    }
    const StoredModel read = open_stored_model(path());
    write_gguf_model(read.config, read.tensors, scratch_ / "again.gguf", options);
    if (type != GgufTensorType::kQ8) {
      EXPECT_EQ(content_of(scratch_ / "again.gguf"), content_of(path()));
    }
  }
}

TEST_F(GgufModel, AnAbsentConvBiasBecomesZeros) {
  config_.conv_bias = false;
  write();
  const StoredModel read = open_stored_model(path());
  EXPECT_TRUE(read.config.conv_bias);
  std::vector<float> bias(static_cast<size_t>(config_.conv_channels()), 1.0f);
  for (const TensorStream& tensor : read.tensors) {
    if (tensor.name == "backbone.layers.1.mixer.conv1d.bias") {
      tensor.read(0, config_.conv_channels(), bias.data());
    }
  }
  EXPECT_THAT(bias, ::testing::Each(0.0f));
}

TEST_F(GgufModel, WhatLlamaCppHasNotIsRefusedTogether) {
  config_.heads = 4;
  config_.linear_bias = true;
  config_.mlp_width = 128;
  config_.dt_high = 1;
  EXPECT_THAT(refusal(), AllOf(HasSubstr("twice the width, 128, the model's is 64"),
                               HasSubstr("no biases on the projections"), HasSubstr("no MLP"),
                               HasSubstr("does not clamp")));
  config_ = testing::tiny_config();  // width 6, inner 12
  GgufOptions options;
  options.type = GgufTensorType::kQ8;
  EXPECT_THAT(refusal(options), HasSubstr("multiples of 32 elements only, the model's have 6"));
  EXPECT_TRUE(std::filesystem::is_empty(scratch_.path()));
}

TEST_F(GgufModel, WhatIsWrongInAFileIsNamed) {
  write();
  std::string bytes = content_of(path());
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = bytes;
    testing::put_content(path(), changed.replace(changed.find(from), to.size(), to));
    return input_error_of([&] { open_stored_model(path()); });
  };
  EXPECT_THAT(with("blk.1.ssm_a", "blk.1.ssm_b"),
              AllOf(HasSubstr("\"blk.1.ssm_a\" [8, 1]: missing"),
                    HasSubstr("\"blk.1.ssm_b\" [8, 1]: unexpected")));
  EXPECT_THAT(with("mamba2.ssm.group_count", "mamba2.ssm.group_cound"),
              HasSubstr("key \"mamba2.ssm.group_count\": missing"));
  const std::string rank = "mamba2.ssm.time_step_rank" + number_bytes(uint32_t{4});
  EXPECT_THAT(with(rank + number_bytes(uint32_t{8}), rank + number_bytes(uint32_t{7})),
              HasSubstr("no multiple of the 7 heads"));
  EXPECT_THAT(with("mamba2" + number_bytes(uint64_t{12}), "mamba3"),
              HasSubstr("expected \"mamba2\" or \"mamba\", is \"mamba3\""));
}

}  // namespace
}  // namespace longhaul::model
