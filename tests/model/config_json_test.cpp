#include "model/checkpoint/config_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "kernels/core/random.h"
#include "tests/model/printed_config.h"
#include "tests/model/scratch_folder.h"

namespace longhaul::model {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::input_error_of;
using ::testing::IsEmpty;
using testing::printed;

// As transformers writes it for the released 130m model, keys that say nothing here included.
constexpr const char* kReleased = R"({
  "architectures": ["Mamba2ForCausalLM"], "bos_token_id": 0, "chunk_size": 256, "conv_kernel": 4,
  "eos_token_id": 0, "expand": 2, "head_dim": 64, "hidden_act": "silu", "hidden_size": 768,
  "initializer_range": 0.1, "layer_norm_epsilon": 1e-05, "model_type": "mamba2", "n_groups": 1,
  "norm_before_gate": null, "num_heads": 24, "num_hidden_layers": 24, "pad_token_id": 0,
  "rescale_prenorm_residual": false, "residual_in_fp32": true, "rms_norm": true,
  "state_size": 128, "tie_word_embeddings": true, "time_step_floor": 0.0001,
  "time_step_limit": [0.0, Infinity], "time_step_max": 0.1, "time_step_min": 0.001,
  "time_step_rank": 48, "torch_dtype": "bfloat16", "transformers_version": "4.44.0",
  "use_bias": false, "use_cache": true, "use_conv_bias": true, "vocab_size": 50288
})";

ModelConfig parse(const std::string& text) { return parse_model_config(text, "config.json"); }
std::string refusal(const std::string& text) {
  return input_error_of([&] { parse(text); });
}
/// kReleased with keys set to JSON values, or removed (empty value).
std::string released_with(const std::vector<std::pair<std::string, std::string>>& changes) {
  std::string text = kReleased;
  text.replace(text.find("Infinity"), 8, "\"Infinity\"");
  auto root = nlohmann::json::parse(text);
  for (const auto& [key, value] : changes) {
    root.erase(key);
    if (!value.empty()) root[key] = nlohmann::json::parse(value);
  }
  return root.dump();
}

TEST(ConfigJson, ReadsAReleasedModel) {
  ModelConfig expected;
  expected.vocabulary = 50288;
  expected.width = 768;
  expected.layers = 24;
  expected.heads = 24;
  expected.state_dim = 128;
  expected.chunk = 256;
  EXPECT_EQ(printed(parse(kReleased)), printed(expected));
}

TEST(ConfigJson, AbsentKeysHaveTransformersDefaults) {
  ModelConfig expected;
  expected.vocabulary = 32768;
  expected.width = 4096;
  expected.layers = 64;
  expected.heads = 128;
  expected.state_dim = 128;
  expected.groups = 8;
  expected.chunk = 256;
  expected.tied = false;
  EXPECT_EQ(printed(parse(R"({"model_type": "mamba2"})")), printed(expected));
}

TEST(ConfigJson, ReadsInfinityInEverySpelling) {
  for (const char* limit :
       {R"([0.5, Infinity])", R"([0.5, "Infinity"])", R"([0.5, {"__float__": "Infinity"}])"}) {
    std::string text = kReleased;
    text.replace(text.find("[0.0, Infinity]"), 15, limit);
    const ModelConfig config = parse(text);
    EXPECT_EQ(config.dt_low, 0.5) << limit;
    EXPECT_EQ(config.dt_high, std::numeric_limits<double>::infinity()) << limit;
  }
  // Words inside strings stay as they are; a backslash does not end a string.
  EXPECT_NO_THROW(
      parse(R"({"model_type":"mamba2","note":"NaN \" Infinity \\","x":-Infinity,"y":NaN})"));
  EXPECT_THAT(refusal(R"({"model_type":"mamba2","time_step_limit":[0,NaN]})"),
              HasSubstr("time_step_limit: expected [low, high]"));
  EXPECT_THAT(refusal(R"({"model_type":"mamba2","x":Infinityx})"), HasSubstr("not valid JSON"));
}

TEST(ConfigJson, ReadsFlashLinearAttentionsSpelling) {
  const ModelConfig config = parse(R"({
    "architectures": ["Mamba2ForCausalLM"], "model_type": "mamba2", "vocab_size": 32000,
    "hidden_size": 1024, "num_hidden_layers": 48, "n_groups": 2, "norm_eps": 1e-6, "rmsnorm": true,
    "dt_min": 0.002, "dt_max": 0.2, "dt_init_floor": 0.0002, "dt_limit": [0.1, 0.9],
    "A_init_range": [2, 8], "norm_before_gate": false, "D_has_hdim": false, "attn": null,
    "hidden_act": "swish"})");
  EXPECT_EQ(config.heads, 32);  // derived: 2 · 1024 / 64
  EXPECT_EQ(config.groups, 2);
  EXPECT_EQ(config.norm_epsilon, 1e-6);
  EXPECT_EQ(config.dt_min, 0.002);
  EXPECT_EQ(config.dt_max, 0.2);
  EXPECT_EQ(config.dt_floor, 0.0002);
  EXPECT_EQ(config.dt_low, 0.1);
  EXPECT_EQ(config.dt_high, 0.9);
  EXPECT_EQ(config.a_low, 2);
  EXPECT_EQ(config.a_high, 8);
}

TEST(ConfigJson, NormBeforeGateIsFlashLinearAttentionsAlone) {
  std::vector<std::string> notes;
  const std::string theirs = released_with({{"norm_before_gate", "true"}});
  EXPECT_EQ(printed(parse_model_config(theirs, "config.json", &notes)), printed(parse(kReleased)));
  EXPECT_THAT(notes, ElementsAre(HasSubstr("config.json: norm_before_gate: true is not followed")));
  parse_model_config(kReleased, "config.json", &notes);
  EXPECT_THAT(notes, IsEmpty());
  // No sign of flash-linear-attention, whose defaults would have to be asked for.
  EXPECT_NO_THROW(parse(R"({"model_type": "mamba2", "norm_before_gate": false})"));
  EXPECT_THAT(refusal(released_with({{"norm_before_gate", "true"}, {"rmsnorm", "true"}})),
              HasSubstr("norm_before_gate: true is not supported"));
}

TEST(ConfigJson, AsksForWhatTheLibrariesDefaultsDifferIn) {
  EXPECT_THAT(refusal(R"({"model_type": "mamba2", "norm_eps": 1e-5, "hidden_size": 1024})"),
              AllOf(HasSubstr("n_groups: absent"), HasSubstr("vocab_size: absent"),
                    HasSubstr("num_hidden_layers: absent"), Not(HasSubstr("hidden_size: absent"))));
}

TEST(ConfigJson, SpellingsThatDisagreeAreAmbiguous) {
  EXPECT_NO_THROW(parse(released_with({{"norm_eps", "1e-05"}})));
  EXPECT_THAT(refusal(released_with({{"norm_eps", "1e-6"}})),
              AllOf(HasSubstr("norm_eps: is 1e-06"), HasSubstr("layer_norm_epsilon is 1e-05")));
}

struct Refused {
  const char* name;
  const char* key;
  const char* value;  ///< JSON; "" removes the key
  const char* expected;
};

class RefusedValue : public ::testing::TestWithParam<Refused> {};

TEST_P(RefusedValue, IsNamedWithItsKey) {
  EXPECT_THAT(refusal(released_with({{GetParam().key, GetParam().value}})),
              AllOf(::testing::StartsWith("config.json: "), HasSubstr(GetParam().expected)));
}

INSTANTIATE_TEST_SUITE_P(
    Keys, RefusedValue,
    ::testing::Values(
        Refused{"OtherModel", "model_type", "\"llama\"",
                "model_type: expected \"mamba2\" or \"mamba\", is \"llama\""},
        Refused{"NoModel", "model_type", "",
                "model_type: expected \"mamba2\" or \"mamba\", is absent"},
        Refused{"OtherArchitecture", "architectures", "[\"MambaLMHeadModel\"]",
                "architectures: expected \"Mamba2ForCausalLM\", is [\"MambaLMHeadModel\"]"},
        Refused{"ArchitectureString", "architectures", "\"Mamba2ForCausalLM\"", "architectures"},
        Refused{"Activation", "hidden_act", "\"gelu\"", "hidden_act: expected \"silu\""},
        Refused{"NoRmsNorm", "rms_norm", "false", "rms_norm: false is not supported"},
        Refused{"WideD", "D_has_hdim", "true", "D_has_hdim: true is not supported"},
        Refused{"Attention", "attn", "{\"layers\": [1]}", "attn: is {\"layers\":[1]}"},
        Refused{"AttentionLayers", "attn_layer_idx", "[9, 18]", "attn_layer_idx"},
        Refused{"Quantized", "quantization_config", "{\"bits\": 4}", "quantization_config"},
        Refused{"StringForNumber", "hidden_size", "\"768\"",
                "hidden_size: expected an integer of 64 bits, is \"768\""},
        Refused{"FractionForInteger", "num_hidden_layers", "24.5", "num_hidden_layers"},
        Refused{"ListForNumber", "layer_norm_epsilon", "[1]", "layer_norm_epsilon: expected a num"},
        Refused{"NumberForBoolean", "use_conv_bias", "1", "use_conv_bias: expected true or false"},
        Refused{"NumberForString", "hidden_act", "1", "hidden_act: expected a string"},
        Refused{"BeyondInt64", "vocab_size", "9223372036854775808", "vocab_size: expected"},
        Refused{"BeyondUint64", "vocab_size", "1e300", "vocab_size: expected"},
        Refused{"Negative", "hidden_size", "-768", "hidden_size: must be at least 1, is -768"},
        Refused{"Zero", "vocab_size", "0", "vocab_size: must be at least 1, is 0"},
        Refused{"NoLayers", "num_hidden_layers", "0", "num_hidden_layers: must be at least 1"},
        Refused{"NegativeState", "state_size", "-1", "state_size: must be at least 1"},
        Refused{"NoGroups", "n_groups", "0", "n_groups: must be at least 1"},
        Refused{"UnevenGroups", "n_groups", "5", "num_heads: must be a multiple of groups"},
        Refused{"WideConvolution", "conv_kernel", "9", "conv_kernel: must be from 1 to 8, is 9"},
        Refused{"NoChunk", "chunk_size", "0", "chunk_size: must be from 1 to 1024"},
        Refused{"EpsilonZero", "layer_norm_epsilon", "0", "layer_norm_epsilon: must be above 0"},
        Refused{"EpsilonInfinite", "layer_norm_epsilon", "\"Infinity\"",
                "layer_norm_epsilon: must be finite"},
        Refused{"HeadsDisagree", "num_heads", "23",
                "expand: hidden_size · expand is 1536, but num_heads · head_dim is 1472"},
        Refused{"HeadsAbsent", "num_heads", "", "num_heads · head_dim is 8192"},
        Refused{"ExpandHuge", "expand", "\"Infinity\"", "expand: "},
        Refused{"ManyTokens", "vocab_size", "3000000000", "vocab_size: must be at most 2147483647"},
        Refused{"ManyLayers", "num_hidden_layers", "9223372036854775807",
                "num_hidden_layers: must be at most 65536"},
        Refused{"ProductOverflow", "state_size", "9223372036854775807", "parameters, the most is"},
        Refused{"ReversedLimit", "time_step_limit", "[1, 0.5]", "time_step_limit[0]: must be at"},
        Refused{"LimitOfThree", "time_step_limit", "[0, 1, 2]", "time_step_limit: expected [low"},
        Refused{"NegativeLimit", "time_step_limit", "[-1, 2]", "time_step_limit[0]: must be at"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(ConfigJson, AllProblemsAreReportedTogether) {
  EXPECT_THAT(
      refusal(released_with({{"hidden_act", "\"gelu\""},
                             {"use_bias", "3"},
                             {"conv_kernel", "0"},
                             {"state_size", "null"},
                             {"time_step_min", "-1"}})),
      AllOf(HasSubstr("hidden_act"), HasSubstr("use_bias"), HasSubstr("conv_kernel"),
            HasSubstr("time_step_min: must be above 0, is -1"), Not(HasSubstr("state_size"))));
}

TEST(ConfigJson, HintsAtTheStateSpacesLayout) {
  EXPECT_THAT(refusal(R"({"d_model": 768, "ssm_cfg": {"layer": "Mamba2"}})"),
              HasSubstr("state-spaces"));
}

TEST(ConfigJson, WhatIsNoObjectIsRefused) {
  EXPECT_THAT(refusal(""), HasSubstr("config.json: not valid JSON"));
  EXPECT_THAT(refusal("[1]"), HasSubstr("expected a JSON object, is [1]"));
  EXPECT_THAT(refusal("Infinity"), HasSubstr("expected a JSON object"));
  EXPECT_THAT(refusal("{\"a\":\"" + std::string(1000, 'x')), HasSubstr("not valid JSON"));
  EXPECT_LT(refusal("{\"a\":\"" + std::string(100'000, 'x')).size(), 400u);
  EXPECT_THAT(refusal(std::string(1'000'000, '[')), HasSubstr("nested deeper"));
  EXPECT_THAT(refusal(R"({"model_type":"mamba2","model_type":"mamba2"})"), HasSubstr("twice"));
  EXPECT_THAT(refusal(std::string((16 << 20) + 1, ' ')), HasSubstr("the most is"));
}

TEST(ConfigJson, RoundTripsEveryField) {
  ModelConfig config;
  config.vocabulary = 300;
  config.width = 96;
  config.layers = 3;
  config.heads = 10;
  config.head_dim = 7;  // inner width 70: no multiple of 96
  config.state_dim = 33;
  config.groups = 5;
  config.conv_width = 3;
  config.chunk = 32;
  config.mlp_width = 131;
  config.tied = false;
  config.linear_bias = true;
  config.conv_bias = false;
  config.residual_in_fp32 = false;
  config.norm_epsilon = 1.0 / 3e5;
  config.dt_low = 0.001;
  config.dt_high = 0.1 + 0.2;
  config.dt_min = 1.0 / 3000;
  config.dt_max = 0.7;
  config.dt_floor = 1e-7;
  config.a_low = 0.5;
  config.a_high = 30;
  EXPECT_EQ(printed(parse(model_config_json(config, "float32"))), printed(config));
  EXPECT_EQ(printed(parse(model_config_json(ModelConfig{}, "bfloat16"))), printed(ModelConfig{}));
}

TEST(ConfigJson, RoundTripsAnyInnerWidth) {
  ModelConfig config;
  for (int64_t width = 1; width < 200; width += 3) {
    for (int64_t heads = 1; heads < 60; ++heads) {
      config.width = width;
      config.heads = heads;
      config.head_dim = 1 + (width * heads) % 70;
      ASSERT_EQ(printed(parse(model_config_json(config, "float32"))), printed(config));
    }
  }
}

TEST(ConfigJson, WritesWhatTransformersNeeds) {
  const ModelConfig config = parse(kReleased);
  std::string text = model_config_json(config, "bfloat16", {.bos = "0", .eos = "[0, 5]"});
  EXPECT_THAT(text, HasSubstr("\"time_step_limit\": [0.0, Infinity]"));
  text.replace(text.find("Infinity"), 8, "null");
  const auto root = nlohmann::json::parse(text);
  const auto expected = nlohmann::json::parse(R"({
    "architectures": ["Mamba2ForCausalLM"], "model_type": "mamba2", "num_heads": 24, "head_dim": 64,
    "vocab_size": 50288, "hidden_size": 768, "state_size": 128, "num_hidden_layers": 24,
    "layer_norm_epsilon": 1e-5, "pad_token_id": null, "bos_token_id": 0, "eos_token_id": [0, 5], "expand": 2,
    "conv_kernel": 4, "n_groups": 1, "use_bias": false, "use_conv_bias": true, "hidden_act": "silu",
    "initializer_range": 0.1, "residual_in_fp32": true, "time_step_min": 0.001,
    "time_step_max": 0.1, "time_step_floor": 0.0001, "time_step_limit": [0.0, null],
    "rescale_prenorm_residual": false, "use_cache": true, "rms_norm": true, "chunk_size": 256,
    "tie_word_embeddings": true, "torch_dtype": "bfloat16"})");
  EXPECT_EQ(root, expected) << nlohmann::json::diff(root, expected);
  EXPECT_TRUE(root["expand"].is_number_integer());
}

TEST(ConfigJson, TokenIdsThatAreLeftOutAreTheLibrarysDefaults) {
  const auto ids = [](const std::string& text) {
    const TokenIds found = read_token_ids(text, "config.json");
    return found.pad + " " + found.bos + " " + found.eos;
  };
  EXPECT_EQ(ids(R"({"model_type": "mamba2"})"), "1 0 2");
  EXPECT_EQ(ids(R"({"model_type": "mamba2", "norm_eps": 1e-5})"), "0 1 2");
  EXPECT_EQ(ids(R"({"d_model": 16, "ssm_cfg": {}})"), "0 0 0");
  EXPECT_EQ(ids(R"({"model_type": "mamba2", "eos_token_id": [3, 4], "pad_token_id": null})"),
            "null 0 [3,4]");
}

TEST(ConfigJson, TransformersCannotMistakeAModelWithAnMlpForItsOwn) {
  ModelConfig config;
  config.mlp_width = 128;
  const auto text = model_config_json(config, "float32");
  EXPECT_THAT(text, AllOf(HasSubstr("\"mamba2_mlp\""), Not(HasSubstr("\"mamba2\""))));
}

TEST(ConfigJson, MutationsNeverDoMoreThanThrow) {
  core::RandomStream random({.seed = 23, .step = 0, .purpose = core::RandomPurpose::kTest});
  const std::string valid = kReleased;
  int refused = 0;
  for (int i = 0; i < 5'000; ++i) {
    std::string text = valid;
    for (uint64_t n = 1 + random.below(3); n > 0; --n) {
      text[random.below(text.size())] = "{}[]\",:0123456789-\\eE.nt"[random.below(24)];
    }
    try {
      parse(text);
    } catch (const core::InputError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 1'000);
}

}  // namespace
}  // namespace longhaul::model
