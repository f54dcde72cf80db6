// Folders of the state-spaces package: config.json, and pytorch_model.bin or safetensors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "model/architecture.h"
#include "model/checkpoint/json_reading.h"
#include "model/checkpoint/model_folder.h"
#include "model/checkpoint/state_spaces/state_spaces_config.h"
#include "model/checkpoint/stored_model.h"
#include "tests/model/scratch_folder.h"
#include "tests/model/tiny_model.h"
#include "tests/model/torch_bytes.h"

namespace longhaul::model {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::input_error_of;
using testing::put_content;
using testing::TensorToPickle;

ModelConfig parsed(const std::string& text) {
  return parse_state_spaces_config(text, "config.json");
}
std::string refusal(const std::string& text) {
  return input_error_of([&] { parsed(text); });
}

TEST(StateSpacesConfig, ReleasedModels) {
  const ModelConfig config = parsed(
      R"({"d_model": 768, "d_intermediate": 0, "n_layer": 24, "vocab_size": 50277,
          "ssm_cfg": {"layer": "Mamba2"}, "attn_layer_idx": [], "attn_cfg": {}, "rms_norm": true,
          "residual_in_fp32": true, "fused_add_norm": true, "pad_vocab_size_multiple": 16,
          "tie_embeddings": true})");
  EXPECT_EQ(config.vocabulary, 50288);
  EXPECT_EQ(config.width, 768);
  EXPECT_EQ(config.layers, 24);
  EXPECT_EQ(config.heads, 24);
  EXPECT_EQ(config.head_dim, 64);
  EXPECT_EQ(config.state_dim, 128);
  EXPECT_EQ(config.groups, 1);
  EXPECT_EQ(config.conv_width, 4);
  EXPECT_EQ(config.chunk, 256);
  EXPECT_TRUE(config.tied && config.conv_bias && !config.linear_bias);
  int64_t elements = 0;
  for (const Parameter& parameter : parameters_of(config)) elements += parameter.elements();
  EXPECT_EQ(elements, 128'989'632);
}

TEST(StateSpacesConfig, AbsentKeysHaveThePackagesDefaults) {
  const ModelConfig config = parsed(R"({"ssm_cfg": {"layer": "Mamba2"}})");
  EXPECT_EQ(config.width, 2560);
  EXPECT_EQ(config.layers, 64);
  EXPECT_EQ(config.vocabulary, 50280);  // multiples of 8
  EXPECT_EQ(config.heads, 80);
}

TEST(StateSpacesConfig, EveryArgumentOfTheModule) {
  const ModelConfig config = parsed(
      R"({"d_model": 32, "n_layer": 2, "vocab_size": 10, "pad_vocab_size_multiple": 1,
          "d_intermediate": 100, "tie_embeddings": false, "residual_in_fp32": false,
          "ssm_cfg": {"layer": "Mamba2", "d_state": 16, "d_conv": 3, "expand": 3, "headdim": 8,
          "d_ssm": 96, "ngroups": 4,
          "A_init_range": [2, 8], "D_has_hdim": false, "rmsnorm": true, "norm_before_gate": false,
          "dt_min": 0.002, "dt_max": 0.2, "dt_init_floor": 0.0002, "dt_limit": [0.001, Infinity],
          "bias": true, "conv_bias": false, "chunk_size": 128, "use_mem_eff_path": true}})");
  EXPECT_EQ(config.heads, 12);
  EXPECT_EQ(config.state_dim, 16);
  EXPECT_EQ(config.conv_width, 3);
  EXPECT_EQ(config.groups, 4);
  EXPECT_EQ(config.chunk, 128);
  EXPECT_EQ(config.mlp_width, 128);
  EXPECT_EQ(config.vocabulary, 10);
  EXPECT_TRUE(config.linear_bias && !config.conv_bias && !config.tied);
  EXPECT_FALSE(config.residual_in_fp32);
  EXPECT_EQ(config.dt_low, 0.001);
  EXPECT_TRUE(std::isinf(config.dt_high));
  EXPECT_EQ(config.dt_floor, 0.0002);
  EXPECT_EQ(config.a_high, 8);
  const ModelConfig again = parsed(state_spaces_config_json(config));
  EXPECT_EQ(state_spaces_config_json(again), state_spaces_config_json(config));
  EXPECT_EQ(again.heads, 12);
  EXPECT_EQ(again.dt_low, 0.001);
  EXPECT_TRUE(std::isinf(again.dt_high));
  EXPECT_EQ(again.vocabulary, 10);
}

TEST(StateSpacesConfig, OtherArchitecturesAreRefusedByName) {
  EXPECT_THAT(refusal(R"({"d_model": 768, "ssm_cfg": {"layer": "Mamba3"}})"),
              HasSubstr("layer: expected \"Mamba1\" or \"Mamba2\", is \"Mamba3\""));
  EXPECT_THAT(refusal(R"({"d_model": 768, "ssm_cfg": {"layer": "Mamba2"}, "attn_layer_idx": [9]})"),
              HasSubstr("attn_layer_idx: is [9]: attention layers are not supported"));
}

TEST(StateSpacesConfig, WhatTheModelHasNotIsRefusedTogether) {
  EXPECT_THAT(
      refusal(R"({"d_model": 64, "rms_norm": false, "vocab_size": -1, "n_layer": 0, "ssm_cfg":
          {"layer": "Mamba2", "D_has_hdim": true, "rmsnorm": false, "norm_before_gate": true,
           "d_ssm": 64, "headdim": 48, "d_sate": 16, "conv_bias": "yes"}})"),
      AllOf(HasSubstr("config.json: rms_norm: false is not supported"),
            HasSubstr("config.json: vocab_size: expected 0 to"),
            HasSubstr("config.json: ssm_cfg: D_has_hdim: true is not supported"),
            HasSubstr("ssm_cfg: rmsnorm: false"), HasSubstr("ssm_cfg: norm_before_gate: true"),
            HasSubstr("ssm_cfg: d_ssm: is 64"), HasSubstr("ssm_cfg: headdim: must divide"),
            HasSubstr("ssm_cfg: d_sate: is 16: not supported"),
            HasSubstr("ssm_cfg: conv_bias: expected true or false")));
  EXPECT_THAT(refusal(R"({"d_model": 64, "n_layer": 0, "ssm_cfg": {"layer": "Mamba2"}})"),
              HasSubstr("n_layer: must be"));
  EXPECT_THAT(refusal(R"({"d_model": 64, "ssm_cfg": 7})"),
              HasSubstr("ssm_cfg: expected an object"));
  EXPECT_THAT(refusal("[]"), HasSubstr("expected a JSON object"));
}

TEST(StateSpacesConfig, WhatThePackageCannotExpressIsRefused) {
  ModelConfig config = testing::tiny_config();
  config.width = 7;
  config.norm_epsilon = 1e-6;
  config.mlp_width = 100;
  EXPECT_THAT(input_error_of([&] { state_spaces_config_json(config); }),
              AllOf(HasSubstr("multiple of the width 7"), HasSubstr("epsilon of 1e-5"),
                    HasSubstr("multiple of 128")));
}

class StateSpacesFolder : public ::testing::Test {
 protected:
  StateSpacesFolder() {
    put_content(folder() / "config.json",
                R"({"d_model": 4, "n_layer": 1, "vocab_size": 5, "pad_vocab_size_multiple": 2,
                    "ssm_cfg": {"layer": "Mamba2", "d_state": 3, "headdim": 2, "d_conv": 2}})");
    for (const Parameter& parameter : parameters_of(read_model_config(folder()))) {
      add(parameter.name == "backbone.embeddings.weight" ? "backbone.embedding.weight"
                                                         : parameter.name,
          parameter.shape);
    }
    tensors_.push_back(tensors_.front());
    tensors_.back().name = "lm_head.weight";
  }

  std::filesystem::path folder() const { return scratch_.path(); }
  TensorToPickle& tensor(const std::string& name) {
    for (TensorToPickle& tensor : tensors_) {
      if (tensor.name == name) return tensor;
    }
    throw core::Error(name);
  }
  /// Its values are n, n + 1, …, where n is 100 times its number.
  void add(const std::string& name, const core::Shape& shape) {
    TensorToPickle tensor{
        name, "FloatStorage", std::to_string(storages_.size()), shape.elements(), 0, {}, {}};
    int64_t stride = shape.elements();
    for (int i = 0; i < shape.rank(); ++i) {
      stride /= shape[i];
      tensor.shape.push_back(shape[i]);
      tensor.strides.push_back(stride);
    }
    std::string bytes;
    for (int64_t i = 0; i < shape.elements(); ++i) {
      bytes +=
          testing::number_bytes(static_cast<float>(100 * storages_.size()) + static_cast<float>(i));
    }
    storages_.push_back(bytes);
    tensors_.push_back(tensor);
  }
  void write() const {
    put_content(folder() / "pytorch_model.bin",
                testing::torch_bytes(testing::pickled_dict(tensors_), storages_));
  }
  std::string open_refusal() {
    write();
    return input_error_of([&] { open_stored_model(folder()); });
  }

  core::Context context_{core::Device{}, 1};
  testing::ScratchFolder scratch_;
  std::vector<TensorToPickle> tensors_;
  std::vector<std::string> storages_;
};

TEST_F(StateSpacesFolder, IsLoadedLikeAnyModel) {
  TensorToPickle& out = tensor("backbone.layers.0.mixer.out_proj.weight");
  ASSERT_EQ(out.shape, (std::vector<int64_t>{4, 8}));
  out.strides = {1, 4};  // stored transposed
  write();
  const auto model = load_model(context_, folder());
  EXPECT_EQ(model->config().vocabulary, 6);
  EXPECT_EQ(model->config().heads, 4);
  float number = 0;
  for (const Parameter& parameter : model->parameters().list()) {
    const float* values = model->parameters().value(parameter).data<float>();
    const bool is_transposed = parameter.name.ends_with("out_proj.weight");
    EXPECT_EQ(values[0], number) << parameter.name;
    EXPECT_EQ(values[1], number + (is_transposed ? 4 : 1)) << parameter.name;
    number += 100;
  }
}

TEST_F(StateSpacesFolder, ShardsWithAnIndex) {
  const auto half = tensors_.begin() + static_cast<std::ptrdiff_t>(tensors_.size() / 2);
  // The head shares elements with the embedding, so it lies in the embedding's shard.
  std::vector<TensorToPickle> first(tensors_.begin(), half), second(half, tensors_.end() - 1);
  first.push_back(tensors_.back());
  std::string map;
  for (const auto& [file, tensors] : {std::pair("one.bin", first), std::pair("two.bin", second)}) {
    put_content(folder() / file, testing::torch_bytes(testing::pickled_dict(tensors), storages_));
    for (const TensorToPickle& tensor : tensors) {
      map += (map.empty() ? "" : ", ") + in_quotes(tensor.name) + ": " + in_quotes(file);
    }
  }
  put_content(folder() / "pytorch_model.bin.index.json", R"({"weight_map": {)" + map + "}}");
  const auto model = load_model(context_, folder());
  float number = 0;
  for (const Parameter& parameter : model->parameters().list()) {
    EXPECT_EQ(model->parameters().value(parameter).data<float>()[0], number) << parameter.name;
    number += 100;
  }
  put_content(folder() / "two.bin", testing::torch_bytes(testing::pickled_dict(first), storages_));
  EXPECT_THAT(input_error_of([&] { open_stored_model(folder()); }),
              AllOf(HasSubstr("two.bin: tensor \"lm_head.weight\": is not this file's"),
                    HasSubstr("two.bin: tensor \"" + second.front().name + "\": missing")));
}

TEST_F(StateSpacesFolder, SafetensorsWithItsNamesToo) {
  write();
  const auto model = load_model(context_, folder());
  std::vector<TensorToStore> tensors;
  for (const Parameter& parameter : model->parameters().list()) {
    const bool is_embedding = parameter.name == "backbone.embeddings.weight";
    tensors.push_back({is_embedding ? "backbone.embedding.weight" : parameter.name,
                       model->parameters().value(parameter), StoredType::kF32});
  }
  std::filesystem::remove(folder() / "pytorch_model.bin");
  write_safetensors(folder() / "model.safetensors", tensors);
  const auto again = load_model(context_, folder());
  EXPECT_EQ(std::memcmp(again->parameters().values().raw(), model->parameters().values().raw(),
                        static_cast<size_t>(model->parameters().values().bytes())),
            0);
}

TEST_F(StateSpacesFolder, EverythingWrongIsNamedTogether) {
  tensor("backbone.norm_f.weight").shape = {2, 2};
  tensor("backbone.norm_f.weight").strides = {2, 1};
  tensor("backbone.layers.0.mixer.D").name = "backbone.layers.0.mixer.d";
  TensorToPickle& bias = tensor("backbone.layers.0.mixer.dt_bias");
  bias.storage = "IntStorage";
  EXPECT_THAT(open_refusal(),
              AllOf(HasSubstr("\"backbone.norm_f.weight\": is [2, 2], expected [4]"),
                    HasSubstr("\"backbone.layers.0.mixer.D\" [4]: missing"),
                    HasSubstr("\"backbone.layers.0.mixer.d\" [4]: unexpected"),
                    HasSubstr("dt_bias\": is I32, expected a floating type")));
}

TEST_F(StateSpacesFolder, OnlyTheHeadMayShareElements) {
  tensor("backbone.layers.0.mixer.D").key = tensor("backbone.layers.0.mixer.dt_bias").key;
  EXPECT_THAT(open_refusal(), HasSubstr("\"backbone.layers.0.mixer.dt_bias\" and "
                                        "\"backbone.layers.0.mixer.D\": share elements, which"));
}

TEST_F(StateSpacesFolder, AnUntiedHeadMustNotShareElements) {
  std::string config = testing::content_of(folder() / "config.json");
  put_content(folder() / "config.json",
              config.replace(config.find('{'), 1, R"({"tie_embeddings": false, )"));
  EXPECT_THAT(open_refusal(), HasSubstr("share elements, though the configuration says"));
  tensors_.pop_back();
  EXPECT_THAT(open_refusal(), HasSubstr("\"lm_head.weight\" [6, 4]: missing"));
}

TEST_F(StateSpacesFolder, ATiedHeadOfItsOwnMustBeEqual) {
  tensors_.pop_back();
  add("lm_head.weight", {6, 4});
  EXPECT_THAT(open_refusal(), HasSubstr("\"lm_head.weight\": differs from"));
  storages_.back() = storages_.front();
  write();
  EXPECT_EQ(open_stored_model(folder()).tensors.size(), 11u);
}

}  // namespace
}  // namespace longhaul::model
