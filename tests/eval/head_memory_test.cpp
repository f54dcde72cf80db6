#include "eval/head_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <mutex>
#include <vector>

#include "data/samplers.h"
#include "data/token_folder.h"
#include "dist/thread_communicator.h"
#include "tests/eval/scratch_folder.h"
#include "tests/eval/tiny_text.h"
#include "tests/model/tiny_model.h"
#include "tests/support/reference_model.h"

namespace longhaul::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kLength = 70, kSequences = 3, kTrained = 12;

model::ModelConfig config_of_13() {
  model::ModelConfig config = longhaul::testing::tiny_mamba1();
  config.vocabulary = kVocabulary;
  return config;
}

longhaul::testing::NamedValues parameters_of(const model::LanguageModel& model) {
  longhaul::testing::NamedValues all;
  for (const model::Parameter& parameter : model.parameters().list()) {
    all[parameter.name] = longhaul::testing::values_of(model.parameters().value(parameter));
  }
  return all;
}

/// Σ of log-decays over a sequence: [layer][element]. A state that is 1 more before a token is e^ℓ
/// more after it; what layers before it do not see. Token by token and afresh each time: a whole
/// sequence's decay would be lost in rounding.
std::vector<std::vector<double>> plain_decays(const model::ModelConfig& config,
                                              const longhaul::testing::NamedValues& parameters,
                                              const std::vector<int32_t>& tokens) {
  const auto elements = static_cast<size_t>(config.inner() * config.state_dim);
  std::vector<std::vector<double>> sums(static_cast<size_t>(config.layers),
                                        std::vector<double>(elements));
  longhaul::testing::NamedValues carried;
  for (const int32_t token : tokens) {
    auto after = carried;
    longhaul::testing::reference_logits(config, parameters, {token}, after);
    for (size_t layer = 0; layer < sums.size(); ++layer) {
      const std::string name = "ssm." + std::to_string(layer);
      auto other = carried;
      other[name].resize(elements);
      for (double& x : other[name]) x += 1;
      longhaul::testing::reference_logits(config, parameters, {token}, other);
      for (size_t i = 0; i < elements; ++i) {
        sums[layer][i] += std::log(other[name][i] - after[name][i]);
      }
    }
    carried = after;
  }
  return sums;
}

/// Of an odd number of elements.
ElementMemory plain_memory(const std::vector<std::vector<double>>& sums_of_sequences) {
  ElementMemory product{.shortest = 1, .median = 1, .longest = 1};
  const auto count = static_cast<double>(sums_of_sequences.size());
  for (const auto& sums : sums_of_sequences) {
    std::vector<double> memories;
    for (const double sum : sums) memories.push_back(-kLength / sum);
    std::sort(memories.begin(), memories.end());
    product.shortest *= std::pow(memories.front(), 1 / count);
    product.median *= std::pow(memories[memories.size() / 2], 1 / count);
    product.longest *= std::pow(memories.back(), 1 / count);
    for (const double memory : memories) {
      product.beyond += (memory > kTrained) / count / static_cast<double>(memories.size());
    }
  }
  return product;
}

class ElementsOnMesh : public ::testing::TestWithParam<Way> {};

TEST_P(ElementsOnMesh, RememberAsThePlainLoopSays) {
  const testing::ScratchFolder scratch;
  const data::TokenFolder folder(write_tokens(scratch, 300));
  const model::ModelConfig config = config_of_13();
  const CurveOptions options{.length = kLength,
                             .sequences = kSequences,
                             .piece = GetParam().piece,
                             .batch = GetParam().batch,
                             .training_length = kTrained,
                             .seed = 9};
  std::mutex mutex;
  std::vector<StateStatistics> found;
  longhaul::testing::NamedValues parameters;
  dist::run_thread_ranks(
      GetParam().mesh.data * GetParam().mesh.sequence, [&](dist::Communicator& world) {
        const dist::Mesh mesh(world, GetParam().mesh);
        core::Context context({}, 1);
        model::LanguageModel model(context, config, core::DType::kF64);
        longhaul::testing::randomize(model, 3);
        auto own = evaluate_states(mesh, model, text_sequences(folder, options), options);
        const std::lock_guard lock(mutex);
        parameters = parameters_of(model);
        found.push_back(std::move(own));
      });

  std::vector<std::vector<std::vector<double>>> decays(2);  // [layer][sequence][element]
  for (int64_t begin : data::find_long_windows(folder, kLength, kSequences, 9).begins) {
    std::vector<int32_t> sequence(kLength);
    folder.read(begin, sequence);
    const auto sums = plain_decays(config, parameters, sequence);
    for (size_t layer = 0; layer < 2; ++layer) decays[layer].push_back(sums[layer]);
  }
  for (const StateStatistics& own : found) {
    ASSERT_EQ(own.heads.size(), 2u);
    for (size_t layer = 0; layer < 2; ++layer) {
      const HeadStates& head = own.heads[layer];
      const ElementMemory expected = plain_memory(decays[layer]);
      ASSERT_TRUE(head.elements.has_value());
      EXPECT_NEAR(head.elements->shortest / expected.shortest, 1, 1e-9);
      EXPECT_NEAR(head.elements->median / expected.median, 1, 1e-9);
      EXPECT_NEAR(head.elements->longest / expected.longest, 1, 1e-9);
      EXPECT_NEAR(head.elements->beyond, expected.beyond, 1e-12);
      EXPECT_EQ(head.memory(), head.elements->median);
      EXPECT_GT(expected.beyond, 0.1);
      EXPECT_LT(expected.beyond, 0.9);
      EXPECT_GT(expected.longest, 10 * expected.shortest);
      double mean = 0;
      for (const auto& sums : decays[layer]) {
        for (double sum : sums) mean += sum / static_cast<double>(sums.size());
      }
      EXPECT_NEAR(head.log_decay, mean / (kLength * kSequences), 1e-10);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, ElementsOnMesh,
                         ::testing::Values(Way{"Whole", {1, 1}, 1000, 8},
                                           Way{"OddPieces", {1, 1}, 7, 2},
                                           Way{"SingleTokens", {1, 2}, 1, 5},
                                           Way{"TwoSequenceRanks", {1, 2}, 16, 2},
                                           Way{"ThreeSequenceRanks", {1, 3}, 32, 3},
                                           Way{"DataTimesSequence", {2, 2}, 25, 1}),
                         [](const auto& test) { return test.param.name; });

std::vector<double> summarized(std::vector<double> sums, int64_t tokens, int64_t trained) {
  std::array<double, kElementNumbers> numbers{};
  summarize_elements(sums, tokens, trained, numbers);
  return {numbers.begin(), numbers.end()};
}

TEST(ElementMemory, IsSummarizedByHand) {
  // Over 8 tokens: memories 2, 16, 4, 1; those of 4 are not beyond 4.
  EXPECT_THAT(summarized({-4, -0.5, -2, -8}, 8, 4),
              ElementsAre(0, ::testing::DoubleEq(1.5 * std::log(2)), std::log(16), 0.25));
  EXPECT_THAT(summarized({-8, -2, -4}, 8, 3),
              ElementsAre(0, std::log(2), std::log(4), ::testing::DoubleEq(1.0 / 3)));
}

TEST(ElementMemory, NothingDecaysOrEverything) {
  for (const double zero : {0.0, -0.0}) {
    EXPECT_THAT(summarized({-8, zero, -8}, 8, 4),
                ElementsAre(0, 0, kInfinity, ::testing::DoubleEq(1.0 / 3)));
  }
  EXPECT_THAT(summarized({-kInfinity, -8, -8}, 8, 4), ElementsAre(-kInfinity, 0, 0, 0));
  const ElementMemory all =
      element_memory(std::array{-kInfinity, 0.0, kInfinity, 1.0}, 2, /*training_length=*/4);
  EXPECT_EQ(all.shortest, 0);
  EXPECT_EQ(all.median, 1);
  EXPECT_EQ(all.longest, kInfinity);
  EXPECT_EQ(all.beyond, 0.5);
}

TEST(ElementMemory, LostOnesStandLast) {
  const auto found = summarized({std::nan(""), -8, std::nan(""), 0, -4}, 8, 4);
  EXPECT_EQ(found[0], 0);
  EXPECT_EQ(found[1], kInfinity);
  EXPECT_TRUE(std::isnan(found[2]));
  EXPECT_EQ(found[3], 0.6);
}

TEST(ElementMemory, IsTheGeometricMeanOverSequences) {
  const std::array<double, kElementNumbers> sums{std::log(2) + std::log(8), std::log(4),
                                                 std::log(100) + std::log(10000), 0.75};
  const ElementMemory found = element_memory(sums, 2, 64);
  EXPECT_DOUBLE_EQ(found.shortest, 4);
  EXPECT_DOUBLE_EQ(found.median, 2);
  EXPECT_NEAR(found.longest, 1000, 1e-9);
  EXPECT_EQ(found.beyond, 0.375);
  EXPECT_TRUE(std::isnan(element_memory(sums, 2, 0).beyond));
}

/// Layers with these memories of their elements.
StateStatistics with_elements(const std::vector<ElementMemory>& layers) {
  StateStatistics states{.read = "text",
                         .length = 256,
                         .sequences = 2,
                         .training_length = 64,
                         .positions = {256},
                         .pooled = {.mean = {0.5}, .deviation = {1}, .norm = {9}},
                         .deviation_error = {0.25}};
  for (const ElementMemory& elements : layers) {
    states.heads.push_back({.layer = static_cast<int64_t>(states.heads.size()),
                            .log_decay = -0.125,
                            .moments = {{0}, {states.heads.size() == 2 ? 50.0 : 1.0}, {1}},
                            .elements = elements});
    states.heads.back().moments.deviation[0] += 0.01 * static_cast<double>(states.heads.size());
  }
  return states;
}

TEST(ElementMemory, TheTableSpeaksOfLayersAndElements) {
  StateStatistics states = with_elements({{1.5, 8, 90, 0.25}, {2, 16, 1000, 0.125}, {1, 4, 70, 0}});
  const std::string table = format_table(states);
  EXPECT_THAT(table, HasSubstr("memory of the elements of 3 layers, tokens until 1/e: shortest 1, "
                               "median 8, longest 1000; 12.5 % remember longer than the training "
                               "length, 64\n"));
  EXPECT_THAT(table, HasSubstr("outliers by deviation at the end: 1 layers\n"
                               "  layer 2: deviation 50.03, memory 4 tokens\n"));
  EXPECT_THAT(table, Not(HasSubstr("head")));
  states.heads[1].elements->longest = std::nan("");
  states.training_length = 0;
  EXPECT_THAT(format_table(states), HasSubstr("median 8, longest inf\n"));
}

TEST(ElementMemory, IsKeptInTheFile) {
  const testing::ScratchFolder scratch;
  const auto file = scratch.path() / "states.json";
  write_states(file, with_elements({{1.5, 8, kInfinity, 0.25}, {2, 16, 1000, std::nan("")}}));
  const StateStatistics found = read_states(file);
  const ElementMemory& first = found.heads.at(0).elements.value();
  EXPECT_EQ(first.shortest, 1.5);
  EXPECT_EQ(first.median, 8);
  EXPECT_EQ(first.longest, kInfinity);
  EXPECT_EQ(first.beyond, 0.25);
  EXPECT_TRUE(std::isnan(found.heads.at(1).elements.value().beyond));
  EXPECT_EQ(found.heads[1].memory(), 16);
}

TEST(ElementMemory, IsNotInFilesOfModelsWhoseHeadsDecayAlike) {
  const testing::ScratchFolder scratch;
  const auto file = scratch.path() / "states.json";
  StateStatistics states = with_elements({{1.5, 8, 90, 0.25}});
  states.heads[0].elements.reset();
  write_states(file, states);
  EXPECT_THAT(longhaul::testing::read_all(file), Not(HasSubstr("elements")));
  EXPECT_FALSE(read_states(file).heads.at(0).elements.has_value());
  EXPECT_EQ(read_states(file).heads[0].memory(), 8);
}

}  // namespace
}  // namespace longhaul::eval
