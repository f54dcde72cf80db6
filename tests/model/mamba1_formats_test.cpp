// Mamba-1 in the formats of other programs: state-spaces folders, GGUF files, and from each to
// each.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "model/architecture.h"
#include "model/checkpoint/gguf/gguf_model.h"
#include "model/checkpoint/model_writing.h"
#include "model/checkpoint/state_spaces/state_spaces_config.h"
#include "model/checkpoint/stored_model.h"
#include "tests/model/printed_config.h"
#include "tests/model/scratch_folder.h"
#include "tests/model/torch_bytes.h"
#include "tests/support/random_tensor.h"

namespace longhaul::model {
namespace {

using ::testing::AllOf;
using testing::content_of;
using ::testing::HasSubstr;
using testing::input_error_of;
using testing::number_bytes;
using testing::printed;

ModelConfig parsed(const std::string& text) {
  return parse_state_spaces_config(text, "config.json");
}
std::string refusal(const std::string& text) {
  return input_error_of([&] { parsed(text); });
}
int64_t elements_of(const ModelConfig& config) {
  int64_t elements = 0;
  for (const Parameter& parameter : parameters_of(config)) elements += parameter.elements();
  return elements;
}

TEST(StateSpacesMamba1, ReleasedModels) {
  // mamba-130m: without the keys that came with Mamba-2.
  const ModelConfig config =
      parsed(R"({"d_model": 768, "n_layer": 24, "vocab_size": 50277, "ssm_cfg": {},
                 "rms_norm": true, "residual_in_fp32": true, "fused_add_norm": true,
                 "pad_vocab_size_multiple": 8})");
  EXPECT_TRUE(config.is_mamba1());
  EXPECT_EQ(config.vocabulary, 50280);
  EXPECT_EQ(config.inner(), 1536);
  EXPECT_EQ(config.state_dim, 16);
  EXPECT_EQ(config.dt_rank, 48);
  EXPECT_TRUE(config.tied && config.conv_bias && !config.linear_bias);
  EXPECT_EQ(elements_of(config), 129'135'360);
  EXPECT_EQ(elements_of(parsed(R"({"d_model": 2560, "n_layer": 64, "ssm_cfg": {}})")),
            2'768'345'600);
  EXPECT_TRUE(parsed(R"({"d_model": 768})").is_mamba1());
}

TEST(StateSpacesMamba1, EveryArgumentOfTheModule) {
  const ModelConfig config = parsed(
      R"({"d_model": 32, "n_layer": 2, "vocab_size": 10, "pad_vocab_size_multiple": 1,
          "tie_embeddings": false, "residual_in_fp32": false,
          "ssm_cfg": {"layer": "Mamba1", "d_state": 5, "d_conv": 3, "expand": 3, "dt_rank": 7,
          "dt_min": 0.002, "dt_max": 0.2, "dt_init": "constant", "dt_scale": 0.5,
          "dt_init_floor": 0.0002, "conv_bias": false, "bias": true, "use_fast_path": false}})");
  ModelConfig expected;
  expected.architecture = Architecture::kMamba1;
  expected.vocabulary = 10;
  expected.width = 32;
  expected.layers = 2;
  expected.heads = 96;
  expected.head_dim = 1;
  expected.state_dim = 5;
  expected.dt_rank = 7;
  expected.conv_width = 3;
  expected.tied = expected.conv_bias = expected.residual_in_fp32 = false;
  expected.linear_bias = true;
  expected.dt_min = 0.002;
  expected.dt_max = 0.2;
  expected.dt_floor = 0.0002;
  EXPECT_EQ(printed(config), printed(expected));
  EXPECT_EQ(printed(parsed(state_spaces_config_json(config))), printed(expected));
}

TEST(StateSpacesMamba1, WritesSsmCfgAsReleasedModelsHaveIt) {
  EXPECT_THAT(state_spaces_config_json(parsed(R"({"d_model": 768, "ssm_cfg": {"dt_rank": 48}})")),
              AllOf(HasSubstr("\"ssm_cfg\": {}"), HasSubstr("\"pad_vocab_size_multiple\": 8")));
}

TEST(StateSpacesMamba1, WhatTheModuleHasNotIsRefusedTogether) {
  EXPECT_THAT(refusal(R"({"d_model": 64, "d_intermediate": 100, "ssm_cfg":
                  {"headdim": 64, "ngroups": 1, "dt_limit": [0, 1], "chunk_size": 256,
                   "dt_rank": "full", "d_sate": 16}})"),
              AllOf(HasSubstr("ssm_cfg: headdim: is 64: not supported"),
                    HasSubstr("ssm_cfg: ngroups: is 1"), HasSubstr("ssm_cfg: dt_limit: is [0,1]"),
                    HasSubstr("ssm_cfg: chunk_size: is 256"), HasSubstr("ssm_cfg: d_sate: is 16"),
                    HasSubstr("ssm_cfg: dt_rank: expected \"auto\" or a whole number from 1 on")));
  EXPECT_THAT(refusal(R"({"d_model": 64, "d_intermediate": 100})"),
              HasSubstr("d_intermediate: must be 0 in a mamba1 model, is 100"));
  EXPECT_THAT(refusal(R"({"d_model": 64, "ssm_cfg": {"dt_rank": 0}})"), HasSubstr("is 0"));
  EXPECT_THAT(refusal(R"({"d_model": 64, "ssm_cfg": {"dt_rank": 9223372036854775807}})"),
              HasSubstr("parameters, the most is"));
  EXPECT_THAT(refusal(R"({"d_model": 64, "ssm_cfg": {"expand": 0}})"),
              HasSubstr("ssm_cfg: expand: expand · d_model is 0, expected 1 to"));
  EXPECT_THAT(refusal(R"({"d_model": 64, "attn_layer_idx": [3]})"),
              HasSubstr("attention layers are not supported"));
}

class Mamba1Formats : public ::testing::Test {
 protected:
  Mamba1Formats() {
    config_.architecture = Architecture::kMamba1;
    config_.vocabulary = 16;
    config_.width = 64;
    config_.heads = 128;
    config_.head_dim = 1;
    config_.state_dim = 8;
    config_.dt_rank = 4;
  }
  /// Random values; decays from slow to fast.
  std::vector<TensorStream> streams() {
    parameters_ =
        std::make_unique<ParameterSet>(context_, core::DType::kF32, parameters_of(config_));
    uint64_t seed = 0;
    for (const Parameter& parameter : parameters_->list()) {
      testing::assign(parameters_->value(parameter),
                      testing::random_values(parameter.elements(), ++seed, 1));
    }
    return streams_of(*parameters_);
  }
  std::filesystem::path file() const { return scratch_ / "m.gguf"; }
  void write_file(const GgufOptions& options = {}) {
    write_gguf_model(config_, streams(), file(), options);
  }
  std::string file_refusal(const GgufOptions& options = {}) {
    return input_error_of([&] { write_file(options); });
  }
  /// Everything, but A_log where a GGUF file lies between.
  void expect_same(const StoredModel& read, bool a_log_too) {
    EXPECT_EQ(printed(read.config), printed(config_));
    const auto written = streams_of(*parameters_);
    ASSERT_EQ(read.tensors.size(), written.size());
    for (size_t i = 0; i < written.size(); ++i) {
      ASSERT_EQ(read.tensors[i].name, written[i].name);
      ASSERT_EQ(read.tensors[i].shape, written[i].shape);
      if (!a_log_too && written[i].name.ends_with(".A_log")) continue;
      EXPECT_TRUE(same_values(read.tensors[i], written[i])) << written[i].name;
    }
  }

  core::Context context_{core::Device{}, 1};
  testing::ScratchFolder scratch_;
  ModelConfig config_;
  std::unique_ptr<ParameterSet> parameters_;
};

TEST_F(Mamba1Formats, FromEachToEachBitExactInF32) {
  for (const bool plain : {true, false}) {
    config_.tied = plain;
    config_.dt_rank = plain ? 4 : 5;
    config_.layers = plain ? 2 : 1;
    const std::string place = plain ? "tied" : "untied";
    const auto path = [&](const char* name) { return scratch_ / (place + "-" + name); };
    write_model_folder(config_, streams(), path("hf"), {});
    const StoredModel hf = open_stored_model(path("hf"));
    EXPECT_EQ(hf.format, ModelFormat::kHuggingFace);
    expect_same(hf, true);
    for (const auto container :
         {StateSpacesContainer::kTorch, StateSpacesContainer::kSafetensors}) {
      const auto folder = path(container == StateSpacesContainer::kTorch ? "bin" : "ss");
      write_state_spaces_folder(hf.config, hf.tensors, folder, container, {});
      const StoredModel read = open_stored_model(folder);
      EXPECT_EQ(read.format, ModelFormat::kStateSpaces);
      expect_same(read, true);
    }
    write_gguf_model(hf.config, hf.tensors, path("1.gguf"), {});
    const StoredModel gguf = open_stored_model(path("1.gguf"));
    EXPECT_EQ(gguf.format, ModelFormat::kGguf);
    expect_same(gguf, false);
    write_model_folder(gguf.config, gguf.tensors, path("back"), {});
    const StoredModel back = open_stored_model(path("back"));
    expect_same(back, false);
    // And −exp(A_log) is what it was.
    write_gguf_model(back.config, back.tensors, path("2.gguf"), {});
    EXPECT_EQ(content_of(path("2.gguf")), content_of(path("1.gguf")));
  }
}

TEST_F(Mamba1Formats, GgufHasLlamaCppsKeysAndShapes) {
  config_.dt_rank = 32;
  write_file();
  const GgufFile read(file());
  const auto& values = read.header().values;
  EXPECT_EQ(values.at("general.architecture").text, "mamba");
  EXPECT_EQ(values.at("mamba.context_length").integer, 1 << 20);
  EXPECT_EQ(values.at("mamba.embedding_length").integer, 64);
  EXPECT_EQ(values.at("mamba.feed_forward_length").integer, 0);
  EXPECT_EQ(values.at("mamba.attention.head_count").integer, 0);
  EXPECT_EQ(values.at("mamba.block_count").integer, 2);
  EXPECT_EQ(values.at("mamba.ssm.conv_kernel").integer, 4);
  EXPECT_EQ(values.at("mamba.ssm.inner_size").integer, 128);
  EXPECT_EQ(values.at("mamba.ssm.state_size").integer, 8);
  EXPECT_EQ(values.at("mamba.ssm.time_step_rank").integer, 32);
  EXPECT_EQ(values.at("mamba.ssm.dt_b_c_rms").shown(), "false");
  EXPECT_FALSE(values.contains("mamba.ssm.group_count"));
  std::map<std::string, core::Shape> shapes;
  for (const GgufTensor& tensor : read.header().tensors) shapes[tensor.name] = tensor.shape;
  EXPECT_EQ(shapes.size(), 2u + 2 * 10);
  EXPECT_EQ(shapes["blk.1.ssm_in.weight"], core::Shape({256, 64}));
  EXPECT_EQ(shapes["blk.1.ssm_conv1d.weight"], core::Shape({128, 4}));
  EXPECT_EQ(shapes["blk.1.ssm_x.weight"], core::Shape({48, 128}));
  EXPECT_EQ(shapes["blk.1.ssm_dt.weight"], core::Shape({128, 32}));
  EXPECT_EQ(shapes["blk.1.ssm_dt.bias"], core::Shape({128}));
  EXPECT_EQ(shapes["blk.1.ssm_a"], core::Shape({128, 8}));
  EXPECT_EQ(shapes["blk.1.ssm_d"], core::Shape({128}));
  EXPECT_EQ(shapes["blk.1.ssm_out.weight"], core::Shape({64, 128}));
}

TEST_F(Mamba1Formats, GgufMatricesTakeTheTypeTheRestIsF32) {
  for (const int64_t rank : {4, 32}) {
    config_.dt_rank = rank;
    for (const auto type : {GgufTensorType::kF16, GgufTensorType::kBF16, GgufTensorType::kQ8}) {
      GgufOptions options;
      options.type = type;
      write_file(options);
      const GgufFile read(file());
      for (const GgufTensor& tensor : read.header().tensors) {
        bool is_matrix = tensor.name == "token_embd.weight";
        for (const char* end : {"ssm_in.weight", "ssm_out.weight", "ssm_x.weight"}) {
          is_matrix |= tensor.name.ends_with(end);
        }
        // Rows of 4 are no block of Q8_0.
        if (tensor.name.ends_with("ssm_dt.weight")) {
          is_matrix = rank == 32 || type != GgufTensorType::kQ8;
        }
        EXPECT_EQ(tensor.type, is_matrix ? type : GgufTensorType::kF32) << tensor.name;
      }
      EXPECT_EQ(printed(open_stored_model(file()).config), printed(config_));
    }
  }
}

TEST_F(Mamba1Formats, GgufGivesAnAbsentConvBiasZeros) {
  config_.conv_bias = false;
  write_file();
  const StoredModel read = open_stored_model(file());
  EXPECT_TRUE(read.config.conv_bias);
  EXPECT_EQ(read.tensors.size(), parameters_->list().size() + 2);
}

TEST_F(Mamba1Formats, WhatOtherProgramsHaveNotIsRefused) {
  config_.heads = 100;
  config_.linear_bias = true;
  EXPECT_THAT(file_refusal(),
              AllOf(HasSubstr("GGUF: llama.cpp's Mamba has an inner width of twice the width, 128, "
                              "the model's is 100"),
                    HasSubstr("no biases on the projections")));
  EXPECT_THAT(beyond_transformers(config_), ::testing::ElementsAre(HasSubstr("64 to 100")));
  EXPECT_THAT(input_error_of([&] { state_spaces_config_json(config_); }),
              HasSubstr("a multiple of the width 64, it is 100"));
  EXPECT_TRUE(std::filesystem::is_empty(scratch_.path()));
}

TEST_F(Mamba1Formats, WhatIsWrongInAGgufFileIsNamed) {
  write_file();
  const std::string bytes = content_of(file());
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = bytes;
    testing::put_content(file(), changed.replace(changed.find(from), to.size(), to));
    return input_error_of([&] { open_stored_model(file()); });
  };
  const auto with_number = [&](const std::string& key, uint32_t from, uint32_t to) {
    const std::string begin = key + number_bytes(uint32_t{4});
    return with(begin + number_bytes(from), begin + number_bytes(to));
  };
  const std::string norms = "mamba.ssm.dt_b_c_rms";
  EXPECT_THAT(
      with(norms + number_bytes(uint32_t{7}) + '\0', norms + number_bytes(uint32_t{7}) + '\1'),
      AllOf(HasSubstr("key \"mamba.ssm.dt_b_c_rms\": is true"), HasSubstr("falcon_mamba"),
            HasSubstr("not supported")));
  EXPECT_THAT(with(norms + number_bytes(uint32_t{7}), norms + number_bytes(uint32_t{0})),
              HasSubstr("dt_b_c_rms\": expected true or false, is 0"));
  EXPECT_THAT(with("mamba" + number_bytes(uint64_t{12}), "jamba"),
              HasSubstr("expected \"mamba2\" or \"mamba\", is \"jamba\""));
  EXPECT_THAT(with("blk.1.ssm_x.weight", "blk.1.ssm_y.weight"),
              AllOf(HasSubstr("\"blk.1.ssm_x.weight\" [20, 128]: missing"),
                    HasSubstr("\"blk.1.ssm_y.weight\" [20, 128]: unexpected")));
  EXPECT_THAT(with("mamba.ssm.time_step_rank", "mamba.ssm.time_step_rang"),
              HasSubstr("key \"mamba.ssm.time_step_rank\": missing"));
  EXPECT_THAT(with_number("mamba.ssm.time_step_rank", 4, 0), HasSubstr("a whole number from 1 on"));
  EXPECT_THAT(with_number("mamba.ssm.time_step_rank", 4, 5),
              AllOf(HasSubstr("\"blk.0.ssm_x.weight\": is [20, 128], expected [21, 128]"),
                    HasSubstr("\"blk.0.ssm_dt.weight\": is [128, 4], expected [128, 5]")));
  EXPECT_THAT(with_number("mamba.ssm.time_step_rank", 4, ~0u), HasSubstr("ssm_dt.weight\": is"));
  EXPECT_THAT(with_number("mamba.ssm.inner_size", 128, ~0u),
              HasSubstr("expected [8589934590, 64]"));
  EXPECT_THAT(with_number("mamba.ssm.state_size", 8, ~0u), HasSubstr("parameters, the most is"));
  EXPECT_THAT(with_number("mamba.ssm.state_size", 8, 9),
              HasSubstr("\"blk.0.ssm_a\": is [128, 8], expected [128, 9]"));
}

TEST_F(Mamba1Formats, ADecayThatIsNoneIsNamed) {
  write_file();
  const GgufFile read(file());
  for (const GgufTensor& tensor : read.header().tensors) {
    if (tensor.name != "blk.1.ssm_a") continue;
    std::string bytes = content_of(file());
    testing::put_content(file(), bytes.replace(tensor.begin + 4 * 9, 4, number_bytes(0.5f)));
  }
  const StoredModel model = open_stored_model(file());
  EXPECT_THAT(
      input_error_of([&] { write_model_folder(model.config, model.tensors, scratch_ / "hf", {}); }),
      HasSubstr("\"blk.1.ssm_a\": element 9 is 0.5, expected a negative number"));
}

}  // namespace
}  // namespace longhaul::model
