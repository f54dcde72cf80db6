#include "model/parameters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "kernels/core/context.h"
#include "model/architecture.h"
#include "tests/support/random_tensor.h"

namespace longhaul::model {
namespace {

using core::DType;
using core::Shape;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Release {
  const char* name;
  int64_t width, layers, heads;
  int64_t conv_channels, in_projection, per_layer, total;
};

/// The released Mamba-2 models; the totals are derived from their configurations.
class ReleasedModel : public ::testing::TestWithParam<Release> {};

TEST_P(ReleasedModel, HasTheParametersOfTheTable) {
  const Release& release = GetParam();
  ModelConfig config;
  config.vocabulary = 50288;
  config.width = release.width;
  config.layers = release.layers;
  config.heads = release.heads;
  config.state_dim = 128;
  core::Problems problems;
  config.validate("model", problems);
  EXPECT_THAT(problems, IsEmpty());
  EXPECT_EQ(config.conv_channels(), release.conv_channels);
  EXPECT_EQ(config.in_projection(), release.in_projection);
  int64_t total = 0, first_layer = 0;
  for (const Parameter& parameter : parameters_of(config)) {
    total += parameter.elements();
    if (parameter.name.starts_with("backbone.layers.0.")) first_layer += parameter.elements();
  }
  EXPECT_EQ(first_layer, release.per_layer);
  EXPECT_EQ(total, release.total);
}

INSTANTIATE_TEST_SUITE_P(
    Sizes, ReleasedModel,
    ::testing::Values(Release{"M130", 768, 24, 24, 1792, 3352, 3'765'320, 128'989'632},
                      Release{"M370", 1024, 48, 32, 2304, 4384, 6'601'056, 368'346'624},
                      Release{"M780", 1536, 48, 48, 3328, 6448, 14'644'112, 780'161'280},
                      Release{"B1_3", 2048, 48, 64, 4352, 8512, 25'849'280, 1'343'757'312},
                      Release{"B2_7", 2560, 64, 80, 5376, 10576, 40'216'560, 2'702'599'680}),
    [](const auto& info) { return std::string(info.param.name); });

struct Expected {
  std::string name;
  Shape shape;
  bool decay;
};

void expect_list(const std::vector<Parameter>& list, const std::vector<Expected>& expected) {
  ASSERT_EQ(list.size(), expected.size());
  for (size_t i = 0; i < list.size(); ++i) {
    EXPECT_EQ(list[i].name, expected[i].name);
    EXPECT_EQ(list[i].shape, expected[i].shape) << list[i].name;
    EXPECT_EQ(list[i].decay, expected[i].decay) << list[i].name;
  }
}

ModelConfig odd_config() {
  ModelConfig config;
  config.vocabulary = 11;
  config.width = 6;
  config.layers = 1;
  config.heads = 4;
  config.head_dim = 3;
  config.state_dim = 5;
  config.groups = 2;
  config.conv_width = 3;
  return config;
}

TEST(ParameterList, SmallestModel) {
  ModelConfig config = odd_config();
  config.conv_bias = false;
  const std::string mixer = "backbone.layers.0.mixer.";
  expect_list(parameters_of(config), {{"backbone.embeddings.weight", {11, 6}, true},
                                      {"backbone.layers.0.norm.weight", {6}, false},
                                      {mixer + "in_proj.weight", {48, 6}, true},
                                      {mixer + "conv1d.weight", {32, 1, 3}, true},
                                      {mixer + "dt_bias", {4}, false},
                                      {mixer + "A_log", {4}, false},
                                      {mixer + "D", {4}, false},
                                      {mixer + "norm.weight", {12}, false},
                                      {mixer + "out_proj.weight", {6, 12}, true},
                                      {"backbone.norm_f.weight", {6}, false}});
}

TEST(ParameterList, EverythingThatCanBeSwitchedOn) {
  ModelConfig config = odd_config();
  config.linear_bias = true;
  config.mlp_width = 7;
  config.tied = false;
  const std::string layer = "backbone.layers.0.", mixer = layer + "mixer.";
  expect_list(parameters_of(config), {{"backbone.embeddings.weight", {11, 6}, true},
                                      {layer + "norm.weight", {6}, false},
                                      {mixer + "in_proj.weight", {48, 6}, true},
                                      {mixer + "in_proj.bias", {48}, false},
                                      {mixer + "conv1d.weight", {32, 1, 3}, true},
                                      {mixer + "conv1d.bias", {32}, false},
                                      {mixer + "dt_bias", {4}, false},
                                      {mixer + "A_log", {4}, false},
                                      {mixer + "D", {4}, false},
                                      {mixer + "norm.weight", {12}, false},
                                      {mixer + "out_proj.weight", {6, 12}, true},
                                      {mixer + "out_proj.bias", {6}, false},
                                      {layer + "norm2.weight", {6}, false},
                                      {layer + "mlp.fc1.weight", {14, 6}, true},
                                      {layer + "mlp.fc2.weight", {6, 7}, true},
                                      {"backbone.norm_f.weight", {6}, false},
                                      {"lm_head.weight", {11, 6}, true}});
}

class ParameterSets : public ::testing::TestWithParam<DType> {
 protected:
  core::Context context_{core::Device{}, 1};
};

TEST_P(ParameterSets, LieAlignedWithZerosBetween) {
  ModelConfig config = odd_config();
  config.layers = 3;
  const ParameterSet set(context_, GetParam(), parameters_of(config));
  int64_t end = 0, elements = 0;
  for (const Parameter& parameter : set.list()) {
    EXPECT_EQ(parameter.begin % 16, 0) << parameter.name;
    EXPECT_GE(parameter.begin, end) << parameter.name;
    EXPECT_LT(parameter.begin - end, 16) << parameter.name;
    end = parameter.end();
    elements += parameter.elements();
  }
  EXPECT_EQ(set.count(), elements);
  ASSERT_EQ(set.values().elements(), set.gradients().elements());
  EXPECT_EQ(set.values().elements() % 16, 0);
  EXPECT_EQ(set.values().dtype(), GetParam());
  for (const core::TensorView& flat : {set.values(), set.gradients()}) {
    const auto* bytes = static_cast<const char*>(flat.raw());
    EXPECT_EQ(std::count(bytes, bytes + flat.bytes(), 0), flat.bytes());
  }
}

TEST_P(ParameterSets, ViewsShareTheFlatBuffers) {
  const ParameterSet set(context_, GetParam(), parameters_of(odd_config()));
  const int64_t size = core::size_of(GetParam());
  for (const Parameter& parameter : set.list()) {
    const core::TensorView value = set.value(parameter), gradient = set.gradient(parameter);
    EXPECT_EQ(value.shape(), parameter.shape);
    EXPECT_EQ(gradient.shape(), parameter.shape);
    EXPECT_EQ(static_cast<char*>(value.raw()) - static_cast<char*>(set.values().raw()),
              parameter.begin * size);
    EXPECT_EQ(static_cast<char*>(gradient.raw()) - static_cast<char*>(set.gradients().raw()),
              parameter.begin * size);
    EXPECT_EQ(set.find(parameter.name), &parameter);
  }
  EXPECT_EQ(set.find("backbone"), nullptr);
  EXPECT_EQ(set.find(""), nullptr);
}

TEST_P(ParameterSets, ClearsGradientsButForThoseThatAreStored) {
  const ParameterSet set(context_, GetParam(), parameters_of(odd_config()));
  const Parameter& first = set.list()[2];
  const Parameter& last = set.list()[4];
  const int64_t begin = set.list()[1].begin, end = set.list()[5].begin;
  std::vector<double> expected(static_cast<size_t>(set.gradients().elements()), 1);
  testing::assign(set.gradients(), expected);
  set.clear_gradients(begin, end, {&first, nullptr, &last});
  std::fill(expected.begin() + begin, expected.begin() + end, 0);
  for (const Parameter* stored : {&first, &last}) {
    std::fill(expected.begin() + stored->begin, expected.begin() + stored->end(), 1);
  }
  EXPECT_EQ(testing::values_of(set.gradients()), expected);
}

INSTANTIATE_TEST_SUITE_P(Types, ParameterSets, ::testing::Values(DType::kF32, DType::kF64),
                         [](const auto& info) { return std::string(core::name_of(info.param)); });

TEST(ParameterSetsDeathTest, TwoOfOneNameAreABugOfOurs) {
  core::Context context(core::Device{}, 1);
  EXPECT_DEATH(ParameterSet(context, DType::kF32, {{"a", {1}}, {"a", {2}}}), "called a");
}

TEST(ModelConfig, AnAutomaticRankCountsAsItsNumber) {
  ModelConfig config;
  config.architecture = Architecture::kMamba1;
  config.head_dim = config.groups = config.layers = 1;
  config.width = 740000;  // too large a model with its rank only
  config.heads = 2 * config.width;
  const auto problems = [&](int64_t rank) {
    core::Problems found;
    config.dt_rank = rank;
    config.validate("model", found);
    return found;
  };
  EXPECT_THAT(problems(0), ElementsAre(HasSubstr("model.width: the model would have about 4.5")));
  EXPECT_EQ(problems(0), problems(config.width / 16));
  EXPECT_THAT(problems(1), IsEmpty());
}

struct Rule {
  const char* name;
  void (*spoil)(ModelConfig&);
  const char* expected;
};

class CrossFieldRule : public ::testing::TestWithParam<Rule> {};

TEST_P(CrossFieldRule, IsReportedOnceWithItsKey) {
  ModelConfig config;
  core::Problems problems;
  config.validate("model", problems);
  ASSERT_THAT(problems, IsEmpty());
  GetParam().spoil(config);
  config.validate("model", problems);
  ASSERT_EQ(problems.size(), 1u) << ::testing::PrintToString(problems);
  EXPECT_THAT(problems[0], HasSubstr(GetParam().expected));
}

/// A sweep over architectures changes nothing else; checkpoints have heads of one channel.
TEST(ModelConfig, SettlesAsCheckpointsSayIt) {
  ModelConfig config{.architecture = Architecture::kMamba1, .width = 33, .heads = 4};
  config.head_dim = 16;
  config.settle();
  EXPECT_EQ(config.heads, 64);
  EXPECT_EQ(config.head_dim, 1);
  EXPECT_EQ(config.dt_rank, 3);
  config.architecture = Architecture::kMamba2;
  config.heads = 4, config.head_dim = 16, config.dt_rank = 0;
  config.settle();
  EXPECT_EQ(config.heads, 4);
  EXPECT_EQ(config.dt_rank, 0);
}

constexpr double kInfinity = std::numeric_limits<double>::infinity();
INSTANTIATE_TEST_SUITE_P(
    Rules, CrossFieldRule,
    ::testing::Values(
        Rule{"Groups", [](ModelConfig& c) { c.heads = 3, c.groups = 2; },
             "model.heads: must be a multiple of groups (2), is 3"},
        Rule{"Vocabulary", [](ModelConfig& c) { c.vocabulary = int64_t{1} << 31; },
             "model.vocabulary: must be at most 2147483647"},
        Rule{"Layers", [](ModelConfig& c) { c.layers = 65537; }, "model.layers: must be at most"},
        Rule{"Width", [](ModelConfig& c) { c.width = int64_t{1} << 50; }, "model.width"},
        Rule{"HeadProduct",
             [](ModelConfig& c) { c.heads = int64_t{1} << 40, c.head_dim = int64_t{1} << 40; },
             "model.width"},
        Rule{"Mlp", [](ModelConfig& c) { c.mlp_width = std::numeric_limits<int64_t>::max(); },
             "model.width"},
        Rule{"State",
             [](ModelConfig& c) {
               c.heads = 1 << 14, c.head_dim = 1 << 9, c.state_dim = 1 << 19, c.width = 1;
             },
             "model.state_dim"},
        Rule{"Clamp", [](ModelConfig& c) { c.dt_low = 2, c.dt_high = 1; },
             "model.dt_low: must be at most dt_high (1), is 2"},
        Rule{"GroupsOfMamba1",
             [](ModelConfig& c) { c.architecture = Architecture::kMamba1, c.groups = 2; },
             "model.groups: must be 1 in a mamba1 model, is 2"},
        Rule{"ClampOfMamba1",
             [](ModelConfig& c) { c.architecture = Architecture::kMamba1, c.dt_high = 2; },
             "model.dt_high: must be inf in a mamba1 model, is 2"},
        Rule{"RankOfMamba2", [](ModelConfig& c) { c.dt_rank = 3; },
             "model.dt_rank: must be 0 in a mamba2 model, is 3"},
        Rule{"DtRange", [](ModelConfig& c) { c.dt_min = 1; }, "model.dt_min"},
        Rule{"ARange", [](ModelConfig& c) { c.a_low = 17; }, "model.a_low"},
        Rule{"Infinite", [](ModelConfig& c) { c.norm_epsilon = kInfinity; },
             "model.norm_epsilon: must be finite"}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace longhaul::model
