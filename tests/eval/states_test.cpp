#include "eval/states.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <mutex>

#include "data/samplers.h"
#include "data/token_folder.h"
#include "dist/thread_communicator.h"
#include "kernels/core/error.h"
#include "model/init.h"
#include "tests/eval/scratch_folder.h"
#include "tests/eval/tiny_text.h"
#include "tests/support/random_tensor.h"

namespace longhaul::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kLength = 70, kSequences = 3;

/// Elements of a head's state after `position` tokens, of all sequences: [layer, head].
using HeadValues = std::map<std::pair<int64_t, int64_t>, std::vector<double>>;
HeadValues plain_states(model::LanguageModel& model,
                        const std::vector<std::vector<int32_t>>& sequences, int64_t position) {
  HeadValues values;
  for (const auto& sequence : sequences) {
    const std::vector<int32_t> prefix(sequence.begin(), sequence.begin() + position);
    const auto tokens = core::Tensor::from(model.context(), prefix, {1, position});
    model::RecurrentState state = model.make_state(1);
    model.forward({.tokens = tokens, .final_state = &state});
    for (size_t i = 0; i < state.size(); ++i) {
      const model::StateSpec& spec = model.state_specs()[i];
      if (spec.kind != model::StateKind::kRecurrent) continue;
      const auto all = testing::values_of(state[i]);
      const size_t each = all.size() / static_cast<size_t>(spec.heads);
      for (size_t at = 0; at < all.size(); ++at) {
        values[{spec.layer, static_cast<int64_t>(at / each)}].push_back(all[at]);
      }
    }
  }
  return values;
}

model::ModelConfig tiny_mamba1_config() {
  model::ModelConfig config = tiny_config(kVocabulary);
  config.architecture = model::Architecture::kMamba1;
  config.heads = config.inner();
  config.head_dim = 1;
  return config;
}

struct Moments {
  double mean = 0, deviation = 0, squares = 0;
};
Moments plain_moments(const std::vector<double>& values) {
  Moments result;
  for (double x : values) result.mean += x / static_cast<double>(values.size());
  double squares = 0;
  for (double x : values) squares += std::pow(x - result.mean, 2);
  for (double x : values) result.squares += x * x;
  result.deviation = std::sqrt(squares / static_cast<double>(values.size()));
  return result;
}

void expect_moments(const MomentsByPosition& found, size_t at, const std::vector<double>& values,
                    double norms) {
  const Moments expected = plain_moments(values);
  EXPECT_NEAR(found.mean[at], expected.mean, 1e-11);
  EXPECT_NEAR(found.deviation[at], expected.deviation, 1e-11);
  EXPECT_NEAR(found.norm[at], std::sqrt(expected.squares / norms), 1e-10);
}

class StatesOnMesh : public ::testing::TestWithParam<Way> {
 protected:
  void expect_states_of_prefixes(const model::ModelConfig& config, size_t heads) const;

  /// Of rank 0; the same on all.
  StateStatistics evaluate(const data::TokenFolder& folder,
                           const model::ModelConfig& config = tiny_config(kVocabulary)) const {
    const CurveOptions options{.length = kLength,
                               .sequences = kSequences,
                               .piece = GetParam().piece,
                               .batch = GetParam().batch,
                               .training_length = 50,
                               .seed = 9};
    std::mutex mutex;
    std::vector<StateStatistics> found;
    dist::run_thread_ranks(
        GetParam().mesh.data * GetParam().mesh.sequence, [&](dist::Communicator& world) {
          const dist::Mesh mesh(world, GetParam().mesh);
          core::Context context({}, 1);
          model::LanguageModel model(context, config, core::DType::kF64);
          model::initialize(model, 3);
          auto own = evaluate_states(mesh, model, text_sequences(folder, options), options);
          const std::lock_guard lock(mutex);
          found.push_back(std::move(own));
        });
    for (const auto& other : found) {
      EXPECT_EQ(other.pooled.deviation, found.front().pooled.deviation);
      EXPECT_EQ(other.heads.back().log_decay, found.front().heads.back().log_decay);
    }
    return found.front();
  }
};

void StatesOnMesh::expect_states_of_prefixes(const model::ModelConfig& config, size_t heads) const {
  const testing::ScratchFolder scratch;
  const data::TokenFolder folder(write_tokens(scratch, 300));
  const StateStatistics found = evaluate(folder, config);
  EXPECT_THAT(found.positions, ElementsAre(1, 2, 4, 8, 16, 32, 50, 64, 70));
  EXPECT_EQ(found.whole_documents, 6);

  core::Context context({}, 1);
  model::LanguageModel model(context, config, core::DType::kF64);
  model::initialize(model, 3);
  std::vector<std::vector<int32_t>> sequences;
  for (int64_t begin : data::find_long_windows(folder, kLength, kSequences, 9).begins) {
    sequences.emplace_back(kLength);
    folder.read(begin, sequences.back());
  }
  ASSERT_EQ(found.layers.size(), 2u);
  ASSERT_EQ(found.heads.size(), heads);
  for (size_t at = 0; at < found.positions.size(); ++at) {
    const HeadValues values = plain_states(model, sequences, found.positions[at]);
    std::vector<double> all, by_layer[2], by_sequence;
    for (const HeadStates& head : found.heads) {
      const auto& of_head = values.at({head.layer, head.head});
      expect_moments(head.moments, at, of_head, kSequences);
      by_layer[head.layer].insert(by_layer[head.layer].end(), of_head.begin(), of_head.end());
      all.insert(all.end(), of_head.begin(), of_head.end());
    }
    for (const LayerStates& layer : found.layers) {
      expect_moments(layer.moments, at, by_layer[layer.layer], kSequences);
    }
    expect_moments(found.pooled, at, all, 2 * kSequences);
    for (const auto& sequence : sequences) {
      std::vector<double> own;
      for (const auto& [key, of_head] : plain_states(model, {sequence}, found.positions[at])) {
        own.insert(own.end(), of_head.begin(), of_head.end());
      }
      by_sequence.push_back(plain_moments(own).deviation);
    }
    // plain_moments divides by n, the error of a mean by n − 1 and n.
    EXPECT_NEAR(found.deviation_error[at],
                plain_moments(by_sequence).deviation / std::sqrt(kSequences - 1.0), 1e-11);
  }
}

TEST_P(StatesOnMesh, EqualTheFinalStatesOfPrefixes) {
  expect_states_of_prefixes(tiny_config(kVocabulary), 4);
}

TEST_P(StatesOnMesh, OfMamba1EqualTheFinalStatesOfPrefixes) {
  expect_states_of_prefixes(tiny_mamba1_config(), 2);  // each layer one head
}

// A state alone, with no input after it, is what decays: two runs of one layer from states that
// differ end in states that differ by e^(Σℓ) times as much.
TEST_P(StatesOnMesh, DecayIsThatOfTheState) {
  const testing::ScratchFolder scratch;
  const data::TokenFolder folder(write_tokens(scratch, 300));
  const StateStatistics found = evaluate(folder);
  core::Context context({}, 1);
  model::LanguageModel model(context, tiny_config(kVocabulary), core::DType::kF64);
  model::initialize(model, 3);
  std::vector<double> logs[2];  // of the two heads of layer 0, each sequence
  for (int64_t begin : data::find_long_windows(folder, kLength, kSequences, 9).begins) {
    std::vector<int32_t> sequence(kLength);
    folder.read(begin, sequence);
    // Token by token and afresh each time: a whole sequence's decay would be lost in rounding.
    double sums[2] = {0, 0};
    model::RecurrentState carried = model.make_state(1);
    for (const int32_t token : sequence) {
      const auto tokens = core::Tensor::from(context, std::vector<int32_t>{token}, {1, 1});
      model::RecurrentState other = carried.clone(context), after = model.make_state(1),
                            other_after = model.make_state(1);
      const int64_t each = other[0].elements() / 2;
      for (int64_t i = 0; i < 2 * each; ++i) other[0].data<double>()[i] += 1;
      model.forward({.tokens = tokens, .initial = &carried, .final_state = &after});
      model.forward({.tokens = tokens, .initial = &other, .final_state = &other_after});
      for (int64_t head = 0; head < 2; ++head) {
        sums[head] += std::log(other_after[0].data<double>()[head * each] -
                               after[0].data<double>()[head * each]);
      }
      carried = std::move(after);
    }
    for (int head = 0; head < 2; ++head) logs[head].push_back(sums[head] / kLength);
  }
  for (int head = 0; head < 2; ++head) {
    const Moments expected = plain_moments(logs[head]);
    const HeadStates& of_head = found.heads[static_cast<size_t>(head)];
    EXPECT_NEAR(of_head.log_decay, expected.mean, 1e-10);
    EXPECT_NEAR(of_head.log_decay_error, expected.deviation / std::sqrt(kSequences - 1.0), 1e-10);
    EXPECT_LT(of_head.log_decay, -1e-4);
    EXPECT_NEAR(std::exp(of_head.log_decay * of_head.memory()), 1 / std::exp(1.0), 1e-12);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Ways, StatesOnMesh,
    ::testing::Values(Way{"Whole", {1, 1}, 1000, 8}, Way{"OddPieces", {1, 1}, 7, 2},
                      Way{"SingleTokens", {1, 1}, 1, 5}, Way{"FourSequenceRanks", {1, 4}, 16, 2},
                      Way{"TwoDataRanks", {2, 1}, 32, 2}, Way{"DataTimesSequence", {2, 2}, 25, 1}),
    [](const auto& test) { return test.param.name; });

TEST(States, MemoryDoesNotGrowWithLength) {
  const auto communicator = dist::solo_communicator();
  const dist::Mesh mesh(*communicator, {});
  const data::RecallTask task{.keys = 6, .values = 5, .reach = 4};
  const auto peak = [&](const model::ModelConfig& config, int64_t length) {
    core::Context context({}, 1);
    model::LanguageModel model(context, config);
    model::initialize(model, 3);
    context.pool().reset_peak();
    const CurveOptions options{.length = length, .sequences = 2, .piece = 64};
    evaluate_states(mesh, model, recall_sequences(task, options), options);
    return context.pool().peak_bytes();
  };
  for (const model::ModelConfig& config : {tiny_config(kVocabulary), tiny_mamba1_config()}) {
    EXPECT_EQ(peak(config, 512), peak(config, 8 * 512));
  }
}

StateStatistics with_deviations(const std::vector<double>& deviations) {
  StateStatistics states{.model = "runs/a",
                         .read = "text",
                         .length = 4,
                         .sequences = 2,
                         .training_length = 2,
                         .whole_documents = 5,
                         .positions = {4},
                         .pooled = {.mean = {0.5}, .deviation = {1.0 / 3}, .norm = {9}},
                         .deviation_error = {0.25},
                         .layers = {{.layer = 0, .moments = {{1}, {2}, {3}}}},
                         .heads = {}};
  int64_t head = 0;
  for (double deviation : deviations) {
    states.heads.push_back({.layer = 0,
                            .head = head++,
                            .log_decay = -0.125,
                            .log_decay_error = 0.01,
                            .moments = {{0}, {deviation}, {1}}});
  }
  return states;
}

std::vector<size_t> indices(const std::vector<OutlierHead>& outliers) {
  std::vector<size_t> result;
  for (const OutlierHead& outlier : outliers) result.push_back(outlier.index);
  return result;
}

TEST(OutlierHeads, StandOutInEitherDirection) {
  EXPECT_THAT(outlier_heads(with_deviations({1, 1.1, 0.9, 1.05, 0.95})), ElementsAre());
  EXPECT_THAT(indices(outlier_heads(with_deviations({1, 1.1, 50, 0.9, 1.05, 1e-4, 0.95}))),
              ElementsAre(5, 2));
  EXPECT_THAT(indices(outlier_heads(with_deviations({1, 1.1, std::nan(""), 0.9, 20, 1.05}))),
              ElementsAre(2, 4));
  EXPECT_THAT(outlier_heads(with_deviations({2, 2, 2})), ElementsAre());
  // By hand: logs −1, 0, 1 of e: median 0, median distance 1; ln 2e3 → 0.6745 · 7.6.
  const auto found = outlier_heads(
      with_deviations({std::exp(-1.0), std::exp(-1.0), 1, std::exp(1.0), std::exp(7.0)}));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NEAR(found[0].score, 0.6745 * 7, 1e-12);
}

TEST(OutlierHeads, AreNamedInTheTable) {
  const std::string table = format_table(with_deviations({1, 1.1, 50, 0.9, 1.05}));
  EXPECT_THAT(table, HasSubstr("layer 0 head 2: deviation 50"));
  EXPECT_THAT(table, HasSubstr("memory of 5 heads, tokens until 1/e: shortest 8, median 8"));
  EXPECT_THAT(table, HasSubstr("5 heads remember longer than the training length, 2"));
}

TEST(HeadMemory, HasNoEndWhereNothingDecays) {
  for (const double zero : {0.0, -0.0}) {
    StateStatistics states = with_deviations({1, 1.1, 0.9});
    states.heads[1].log_decay = zero;
    EXPECT_EQ(states.heads[1].memory(), std::numeric_limits<double>::infinity());
    EXPECT_THAT(format_table(states), HasSubstr("shortest 8, median 8, longest inf"));
    EXPECT_THAT(format_table(states), HasSubstr("3 heads remember longer"));
  }
  StateStatistics lost = with_deviations({1});
  lost.heads[0].log_decay = std::nan("");
  EXPECT_TRUE(std::isnan(lost.heads[0].memory()));
}

class StatesFile : public ::testing::Test {
 protected:
  std::string refusal(const std::string& text) const {
    std::ofstream(file_) << text;
    try {
      read_states(file_);
    } catch (const core::InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr(file_.string()));
      return error.what();
    }
    return "none";
  }
  const testing::ScratchFolder scratch_;
  const std::filesystem::path file_ = scratch_.path() / "states.json";
};

TEST_F(StatesFile, KeepsEveryNumber) {
  const StateStatistics states = with_deviations({1.0 / 3, std::nan("")});
  write_states(file_, states);
  const StateStatistics found = read_states(file_);
  EXPECT_EQ(found.model, "runs/a");
  EXPECT_EQ(found.read, "text");
  EXPECT_EQ(found.length, 4);
  EXPECT_EQ(found.sequences, 2);
  EXPECT_EQ(found.training_length, 2);
  EXPECT_EQ(found.whole_documents, 5);
  EXPECT_EQ(found.positions, states.positions);
  EXPECT_EQ(found.pooled.mean, states.pooled.mean);
  EXPECT_EQ(found.pooled.deviation, states.pooled.deviation);
  EXPECT_EQ(found.pooled.norm, states.pooled.norm);
  EXPECT_EQ(found.deviation_error, states.deviation_error);
  ASSERT_EQ(found.layers.size(), 1u);
  EXPECT_EQ(found.layers[0].moments.norm, states.layers[0].moments.norm);
  ASSERT_EQ(found.heads.size(), 2u);
  EXPECT_EQ(found.heads[1].head, 1);
  EXPECT_EQ(found.heads[0].log_decay, -0.125);
  EXPECT_EQ(found.heads[0].log_decay_error, 0.01);
  EXPECT_EQ(found.heads[0].moments.deviation[0], 1.0 / 3);
  EXPECT_TRUE(std::isnan(found.heads[1].moments.deviation[0]));
}

TEST_F(StatesFile, OneSequenceHasNoStandardErrors) {
  StateStatistics states = with_deviations({1, 2});
  states.sequences = 1;
  states.deviation_error[0] = states.heads[0].log_decay_error = std::nan("");
  write_states(file_, states);
  const StateStatistics found = read_states(file_);
  ASSERT_EQ(found.deviation_error.size(), 1u);
  EXPECT_TRUE(std::isnan(found.deviation_error[0]));
  EXPECT_TRUE(std::isnan(found.heads[0].log_decay_error));
  EXPECT_THAT(format_table(found), HasSubstr("       - "));
}

TEST_F(StatesFile, HostileFilesAreRefused) {
  EXPECT_THAT(refusal("{"), HasSubstr("not an evaluation"));
  EXPECT_THAT(refusal(R"({"format_version": 9, "task": "states"})"), HasSubstr("is 9"));
  EXPECT_THAT(refusal(R"({"format_version": 1, "task": "effrem"})"), HasSubstr("'states'"));
  EXPECT_THAT(refusal(R"({"format_version": 1, "task": "states", "positions": [1]})"),
              HasSubstr("no heads"));
  EXPECT_THAT(refusal(R"({"format_version": 1, "task": "states", "length": 4, "positions": [2, 2],
                          "heads": [{}]})"),
              HasSubstr("position 2 does not follow 2"));
  EXPECT_THAT(refusal(R"({"format_version": 1, "task": "states", "length": 4, "positions": [2],
                          "heads": [{"moments": {"mean": [1]}}]})"),
              HasSubstr("does not hold 1 numbers for each position"));
}

}  // namespace
}  // namespace longhaul::eval
