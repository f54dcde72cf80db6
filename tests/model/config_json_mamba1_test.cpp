// config.json of transformers' Mamba; what it shares with Mamba-2 is tested there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "kernels/core/random.h"
#include "model/checkpoint/config_json.h"
#include "tests/model/printed_config.h"
#include "tests/model/scratch_folder.h"

namespace longhaul::model {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::input_error_of;
using testing::printed;

// Keys of the released 130m model, those that say nothing here included.
constexpr const char* kReleased = R"({
  "architectures": ["MambaForCausalLM"], "bos_token_id": 0, "conv_kernel": 4, "d_inner": 1536,
  "d_model": 768, "eos_token_id": 0, "expand": 2, "fused_add_norm": true, "hidden_act": "silu",
  "hidden_size": 768, "initializer_range": 0.1, "intermediate_size": 1536,
  "layer_norm_epsilon": 1e-05, "model_type": "mamba", "n_layer": 24, "num_hidden_layers": 24,
  "pad_token_id": 0, "pad_vocab_size_multiple": 8, "rescale_prenorm_residual": false,
  "residual_in_fp32": true, "rms_norm": true, "ssm_cfg": {}, "state_size": 16,
  "time_step_floor": 0.0001, "time_step_init_scheme": "random", "time_step_max": 0.1,
  "time_step_min": 0.001, "time_step_rank": 48, "time_step_scale": 1.0, "torch_dtype": "float32",
  "transformers_version": "4.39.0.dev0", "use_bias": false, "use_cache": true,
  "use_conv_bias": true, "vocab_size": 50280})";

ModelConfig released() {
  ModelConfig config;
  config.architecture = Architecture::kMamba1;
  config.vocabulary = 50280;
  config.width = 768;
  config.layers = 24;
  config.heads = 1536;
  config.head_dim = 1;
  config.state_dim = 16;
  config.dt_rank = 48;
  return config;
}

ModelConfig parse(const std::string& text) { return parse_model_config(text, "config.json"); }
std::string refusal(const std::string& text) {
  return input_error_of([&] { parse(text); });
}
/// kReleased with a key set to a JSON value, or removed (empty value).
std::string released_with(const std::string& key, const std::string& value) {
  auto root = nlohmann::json::parse(kReleased);
  root.erase(key);
  if (!value.empty()) root[key] = nlohmann::json::parse(value);
  return root.dump();
}

TEST(ConfigJsonMamba1, ReadsAReleasedModel) {
  EXPECT_EQ(printed(parse(kReleased)), printed(released()));
}

TEST(ConfigJsonMamba1, AbsentKeysHaveTransformersDefaults) {
  ModelConfig expected = released();
  expected.layers = 32;
  EXPECT_EQ(printed(parse(R"({"model_type": "mamba"})")), printed(expected));
}

TEST(ConfigJsonMamba1, TheRankIsAutomaticOrANumber) {
  const auto rank = [](const std::string& value) {
    return parse(released_with("time_step_rank", value)).dt_rank;
  };
  EXPECT_EQ(rank("\"auto\""), 48);
  EXPECT_EQ(rank("null"), 48);
  EXPECT_EQ(rank("48"), 48);
  EXPECT_EQ(rank("47"), 47);
  ModelConfig automatic = released();
  automatic.dt_rank = 0;
  EXPECT_EQ(model_config_json(automatic, "float32"), model_config_json(released(), "float32"));
}

TEST(ConfigJsonMamba1, ReadsFlashLinearAttentionsSpelling) {
  const std::string text = R"({"model_type": "mamba", "vocab_size": 32000, "hidden_size": 1024,
    "num_hidden_layers": 48, "norm_eps": 1e-6, "residual_in_fp32": false, "expand": 3,
    "tie_word_embeddings": false, "fuse_norm": true})";
  const ModelConfig config = parse(text);
  EXPECT_EQ(config.norm_epsilon, 1e-6);
  EXPECT_EQ(config.inner(), 3072);
  EXPECT_FALSE(config.tied || config.residual_in_fp32);
  EXPECT_EQ(read_token_ids(text, "config.json").eos, "2");
  EXPECT_THAT(refusal(R"({"model_type": "mamba", "norm_eps": 1e-6, "hidden_size": 1024})"),
              AllOf(HasSubstr("vocab_size: absent"), HasSubstr("num_hidden_layers: absent"),
                    HasSubstr("tie_word_embeddings: absent; transformers and"),
                    HasSubstr("residual_in_fp32: absent"), Not(HasSubstr("n_groups"))));
}

TEST(ConfigJsonMamba1, FalconMambaIsRefusedWithTheReason) {
  EXPECT_THAT(refusal(released_with("model_type", "\"falcon_mamba\"")),
              AllOf(HasSubstr("model_type: expected \"mamba2\" or \"mamba\", is \"falcon_mamba\""),
                    HasSubstr("norms B, C and the time step: not supported")));
}

struct Refused {
  const char* name;
  const char* key;
  const char* value;
  const char* expected;
};

class RefusedMamba1Value : public ::testing::TestWithParam<Refused> {};

TEST_P(RefusedMamba1Value, IsNamedWithItsKey) {
  EXPECT_THAT(refusal(released_with(GetParam().key, GetParam().value)),
              AllOf(::testing::StartsWith("config.json: "), HasSubstr(GetParam().expected)));
}

INSTANTIATE_TEST_SUITE_P(
    Keys, RefusedMamba1Value,
    ::testing::Values(
        Refused{"ClassOfMamba2", "architectures", "[\"Mamba2ForCausalLM\"]",
                "architectures: expected \"MambaForCausalLM\", is [\"Mamba2ForCausalLM\"]"},
        Refused{"InnerDisagrees", "intermediate_size", "1500",
                "intermediate_size: is 1500, but hidden_size · expand is 1536"},
        Refused{"InnerIsText", "intermediate_size", "\"1536\"", "intermediate_size: expected an"},
        Refused{"ExpandDisagrees", "expand", "3", "but hidden_size · expand is 2304"},
        Refused{"ExpandZero", "expand", "0", "expand: hidden_size · expand is 0, expected 1 to"},
        Refused{"ExpandNegative", "expand", "-2", "expand: hidden_size · expand is -1536, exp"},
        Refused{"ExpandInfinite", "expand", "\"Infinity\"", "expand: hidden_size · expand is inf"},
        Refused{"ExpandHuge", "expand", "1e300", "expand: hidden_size · expand is 7.68e+302"},
        Refused{"RankZero", "time_step_rank", "0",
                "time_step_rank: expected \"auto\" or a whole number from 1 on, is 0"},
        Refused{"RankNegative", "time_step_rank", "-48", "time_step_rank: expected \"auto\" or"},
        Refused{"RankText", "time_step_rank", "\"full\"", "from 1 on, is \"full\""},
        Refused{"RankFraction", "time_step_rank", "48.5", "from 1 on, is 48.5"},
        Refused{"RankHuge", "time_step_rank", "9223372036854775807", "parameters, the most is"},
        Refused{"RankBeyondInt64", "time_step_rank", "18446744073709551615", "time_step_rank: exp"},
        Refused{"WidthHuge", "hidden_size", "9223372036854775807", "expand: hidden_size · expand"},
        Refused{"WidthNegative", "hidden_size", "-768", "hidden_size: must be at least 1, is -768"},
        Refused{"StateHuge", "state_size", "9223372036854775807", "parameters, the most is"},
        Refused{"StateZero", "state_size", "0", "state_size: must be at least 1, is 0"},
        Refused{"WideConvolution", "conv_kernel", "9", "conv_kernel: must be from 1 to 8, is 9"},
        Refused{"Mlp", "d_intermediate", "128",
                "d_intermediate: must be 0 in a mamba1 model, is 128"},
        Refused{"Activation", "hidden_act", "\"gelu\"", "hidden_act: expected \"silu\""},
        Refused{"NoRmsNorm", "rms_norm", "false", "rms_norm: false is not supported"},
        Refused{"AttentionLayers", "attn_layer_idx", "[9]", "attn_layer_idx: is [9]"},
        Refused{"Quantized", "quantization_config", "{\"bits\": 4}", "quantization_config"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(ConfigJsonMamba1, RoundTripsEveryField) {
  ModelConfig config = released();
  config.vocabulary = 300;
  config.layers = 3;
  config.state_dim = 33;
  config.conv_width = 3;
  config.dt_rank = 5;
  config.tied = false;
  config.linear_bias = true;
  config.conv_bias = false;
  config.residual_in_fp32 = false;
  config.norm_epsilon = 1.0 / 3e5;
  config.dt_min = 1.0 / 3000;
  config.dt_max = 0.7;
  config.dt_floor = 1e-7;
  config.a_low = 0.5;
  config.a_high = 30;
  EXPECT_EQ(printed(parse(model_config_json(config, "float32"))), printed(config));
}

TEST(ConfigJsonMamba1, RoundTripsAnyInnerWidth) {
  ModelConfig config = released();
  for (config.width = 1; config.width < 400; config.width += 3) {
    for (config.heads = 1; config.heads < 900; config.heads += 13) {
      ASSERT_EQ(printed(parse(model_config_json(config, "float32"))), printed(config));
    }
  }
  config.layers = 1;
  config.width = 99'991;
  config.heads = 1'000'003;
  EXPECT_EQ(parse(model_config_json(config, "float32")).heads, config.heads);
}

TEST(ConfigJsonMamba1, WritesWhatTransformersNeeds) {
  const auto root = nlohmann::json::parse(
      model_config_json(released(), "bfloat16", {.pad = "0", .bos = "0", .eos = "0"}));
  const auto expected = nlohmann::json::parse(R"({
    "architectures": ["MambaForCausalLM"], "model_type": "mamba", "vocab_size": 50280,
    "hidden_size": 768, "intermediate_size": 1536, "state_size": 16, "num_hidden_layers": 24,
    "layer_norm_epsilon": 1e-5, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0,
    "expand": 2, "conv_kernel": 4, "use_bias": false, "use_conv_bias": true, "hidden_act": "silu",
    "initializer_range": 0.1, "residual_in_fp32": true, "time_step_rank": 48,
    "time_step_min": 0.001, "time_step_max": 0.1, "time_step_floor": 0.0001,
    "rescale_prenorm_residual": false, "use_cache": true, "tie_word_embeddings": true,
    "torch_dtype": "bfloat16"})");
  EXPECT_EQ(root, expected) << nlohmann::json::diff(root, expected);
  EXPECT_TRUE(root["expand"].is_number_integer());  // transformers takes no other
}

TEST(ConfigJsonMamba1, TokenIdsThatAreLeftOutAreTransformersDefaults) {
  const TokenIds ids = read_token_ids(R"({"model_type": "mamba", "eos_token_id": 7})", "c");
  EXPECT_EQ(ids.pad + ids.bos + ids.eos, "007");
}

TEST(ConfigJsonMamba1, MutationsNeverDoMoreThanThrow) {
  core::RandomStream random({.seed = 24, .step = 0, .purpose = core::RandomPurpose::kTest});
  int refused = 0;
  for (int i = 0; i < 5'000; ++i) {
    std::string text = kReleased;
    for (uint64_t n = 1 + random.below(3); n > 0; --n) {
      text[random.below(text.size())] = "{}[]\",:0123456789-\\eE.nt"[random.below(24)];
    }
    ModelConfig config;
    try {
      config = parse(text);
    } catch (const core::InputError&) {
      ++refused;
      continue;
    }
    EXPECT_EQ(printed(parse(model_config_json(config, "float32"))), printed(config)) << text;
  }
  EXPECT_GT(refused, 1'000);
}

}  // namespace
}  // namespace longhaul::model
