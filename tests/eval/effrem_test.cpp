#include "eval/effrem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
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
using ::testing::Not;

TEST(EffRemGrid, IsLogSpacedInTokensDroppedAndKept) {
  EXPECT_THAT(effrem_grid(2), ElementsAre(1));
  EXPECT_THAT(effrem_grid(3), ElementsAre(1, 2));
  EXPECT_THAT(effrem_grid(16), ElementsAre(1, 2, 4, 8, 12, 14, 15));
  EXPECT_THAT(effrem_grid(21), ElementsAre(1, 2, 4, 5, 8, 13, 16, 17, 19, 20));
  EXPECT_LE(effrem_grid(int64_t{1} << 62).size(), 124u);
  EXPECT_THAT(effrem_grid(16, 5), ElementsAre(1, 2, 4, 8, 11, 12, 14, 15));
  for (const int64_t trained : {0, 4, 16, 99}) EXPECT_EQ(effrem_grid(16, trained), effrem_grid(16));
}

/// q after the whole of `tokens`, from one forward pass with the zero state.
std::vector<double> plain_distribution(model::LanguageModel& model,
                                       const std::vector<int32_t>& tokens) {
  core::Context& context = model.context();
  const auto length = static_cast<int64_t>(tokens.size());
  const auto device_tokens = core::Tensor::from(context, tokens, {1, length});
  const core::Tensor logits(context, model.dtype(), {1, length, kVocabulary});
  model.forward({.tokens = device_tokens, .logits = logits});
  const std::vector<double> all = testing::values_of(logits);
  std::vector<double> q(all.end() - kVocabulary, all.end());
  double sum = 0;
  for (double& value : q) sum += value = std::exp(value);
  for (double& value : q) value /= sum;
  return q;
}

double plain_distance(model::LanguageModel& model, const std::vector<int32_t>& tokens, int64_t t) {
  const auto whole = plain_distribution(model, tokens);
  const auto suffix = plain_distribution(model, {tokens.begin() + t, tokens.end()});
  double sum = 0;
  for (size_t i = 0; i < whole.size(); ++i) sum += std::abs(whole[i] - suffix[i]);
  return sum / 2;
}

class EffRemOnMesh : public ::testing::TestWithParam<Way> {};

// Random weights forget soon; with a slow decay the first tokens still weigh at the end.
void initialize_slow(model::LanguageModel& model) {
  model::initialize(model, 3);
  for (const model::Parameter& parameter : model.parameters().list()) {
    const core::TensorView value = model.parameters().value(parameter);
    if (parameter.name.find("A_log") == std::string::npos) continue;
    for (int64_t i = 0; i < value.elements(); ++i) value.data<double>()[i] = -3;
  }
}

TEST_P(EffRemOnMesh, EqualsEverySuffixReadOnItsOwn) {
  const testing::ScratchFolder scratch;
  const data::TokenFolder folder(write_tokens(scratch, 300));
  const CurveOptions options{.length = 90,
                             .sequences = 3,
                             .piece = GetParam().piece,
                             .batch = GetParam().batch,
                             .training_length = 33,
                             .seed = 9};
  std::mutex mutex;
  std::vector<EffRem> found;
  dist::run_thread_ranks(
      GetParam().mesh.data * GetParam().mesh.sequence, [&](dist::Communicator& world) {
        const dist::Mesh mesh(world, GetParam().mesh);
        core::Context context({}, 1);
        model::LanguageModel model(context, tiny_config(kVocabulary), core::DType::kF64);
        initialize_slow(model);
        EffRem own = evaluate_effrem(mesh, model, text_sequences(folder, options), options);
        const std::lock_guard lock(mutex);
        found.push_back(std::move(own));
      });
  core::Context context({}, 1);
  model::LanguageModel model(context, tiny_config(kVocabulary), core::DType::kF64);
  initialize_slow(model);
  const auto begins = data::find_long_windows(folder, 90, 3, 9).begins;
  const std::vector<int64_t> grid = effrem_grid(90, 33);
  ASSERT_EQ(found.front().points.size(), grid.size());
  for (size_t i = 0; i < grid.size(); ++i) {
    const EffRemPoint& point = found.front().points[i];
    double sum = 0, squares = 0;
    ASSERT_EQ(point.by_sequence.size(), 3u);
    auto own = point.by_sequence.begin();
    for (int64_t begin : begins) {
      std::vector<int32_t> tokens(90);
      folder.read(begin, tokens);
      const double distance = plain_distance(model, tokens, grid[i]);
      EXPECT_NEAR(*own++, distance, 1e-10) << grid[i];
      sum += distance;
      squares += distance * distance;
    }
    EXPECT_EQ(point.dropped, grid[i]);
    EXPECT_NEAR(point.distance, sum / 3, 1e-10) << grid[i];
    EXPECT_NEAR(point.error, std::sqrt((squares - sum * sum / 3) / 2 / 3), 1e-8) << grid[i];
    EXPECT_GT(point.distance, 1e-6) << grid[i];  // or the comparison would say nothing
    for (const EffRem& other : found) EXPECT_EQ(other.points[i].distance, point.distance);
  }
  EXPECT_EQ(found.front().whole_documents, 6);
  EXPECT_EQ(found.front().training_length, 33);
}

INSTANTIATE_TEST_SUITE_P(
    Ways, EffRemOnMesh,
    ::testing::Values(Way{"Whole", {1, 1}, 1000, 8}, Way{"OddPieces", {1, 1}, 7, 5},
                      Way{"SingleTokens", {1, 1}, 1, 1}, Way{"FourSequenceRanks", {1, 4}, 64, 8},
                      Way{"ThreeSequenceRanks", {1, 3}, 23, 2}, Way{"TwoDataRanks", {2, 1}, 32, 2},
                      Way{"DataTimesSequence", {2, 2}, 25, 4}),
    [](const auto& test) { return test.param.name; });

TEST(EffRem, MemoryDoesNotGrowWithLength) {
  const auto communicator = dist::solo_communicator();
  const dist::Mesh mesh(*communicator, {});
  const data::RecallTask task{.keys = 6, .values = 5, .reach = 4};
  const auto peak = [&](int64_t length) {
    core::Context context({}, 1);
    model::LanguageModel model(context, tiny_config(kVocabulary));
    model::initialize(model, 3);
    context.pool().reset_peak();
    const CurveOptions options{.length = length, .sequences = 1, .piece = 64, .batch = 2};
    evaluate_effrem(mesh, model, recall_sequences(task, options), options);
    return context.pool().peak_bytes();
  };
  // A row more for each doubling, in a fixed budget of tokens.
  EXPECT_LT(static_cast<double>(peak(4095)), 1.5 * static_cast<double>(peak(511)));
}

/// What follows a key that was not seen, or a value, is chance.
TEST(EffRem, SequencesOfRecallEndInAQuery) {
  const auto communicator = dist::solo_communicator();
  const dist::Mesh mesh(*communicator, {});
  core::Context context({}, 1);
  model::LanguageModel model(context, tiny_config(kVocabulary), core::DType::kF64);
  initialize_slow(model);
  const data::RecallTask task{.keys = 6, .values = 5, .reach = 4};
  CurveOptions options{.length = 31, .sequences = 5, .seed = 4};
  const EffRem result = evaluate_effrem(mesh, model, recall_sequences(task, options), options);
  std::vector<std::vector<int32_t>> asked;
  int64_t others = 0;
  for (uint64_t stream = 0; asked.size() < 5; ++stream) {
    LabelledTokens row;
    recall_reader(task, options.seed, stream)->next(options.length, row);
    if (row.labels.back() >= 0) {
      asked.push_back(row.tokens);
    } else {
      ++others;
    }
  }
  EXPECT_GT(others, 0);
  for (const EffRemPoint& point : result.points) {
    double sum = 0;
    for (const auto& tokens : asked) sum += plain_distance(model, tokens, point.dropped);
    EXPECT_NEAR(point.distance, sum / 5, 1e-10) << point.dropped;
  }
  options.length = 32;
  EXPECT_THAT([&] { evaluate_effrem(mesh, model, recall_sequences(task, options), options); },
              ::testing::ThrowsMessage<core::InputError>(
                  HasSubstr("after 32 tokens of recall comes a key")));
}

TEST(EffRem, RefusesASequenceOfOneToken) {
  const auto communicator = dist::solo_communicator();
  const dist::Mesh mesh(*communicator, {});
  core::Context context({}, 1);
  model::LanguageModel model(context, tiny_config(kVocabulary));
  const CurveOptions options{.length = 1, .sequences = 1};
  const data::RecallTask task{.keys = 6, .values = 5, .reach = 4};
  EXPECT_THROW(evaluate_effrem(mesh, model, recall_sequences(task, options), options),
               core::InputError);
}

class EffRemFile : public ::testing::Test {
 protected:
  std::string refusal(const std::string& text) const {
    std::ofstream(file_) << text;
    try {
      read_effrem(file_);
    } catch (const core::InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr(file_.string()));
      return error.what();
    }
    return "none";
  }
  const testing::ScratchFolder scratch_;
  const std::filesystem::path file_ = scratch_.path() / "effrem.json";
};

TEST_F(EffRemFile, KeepsEveryNumber) {
  const EffRem effrem{
      .model = "runs/a",
      .read = "text",
      .length = 8,
      .sequences = 2,
      .training_length = 4,
      .whole_documents = 3,
      .inside_documents = false,
      .points = {{.dropped = 1, .distance = 1.0 / 3, .error = 0.1, .by_sequence = {0.25, 0.5}},
                 {.dropped = 7, .distance = std::nan(""), .error = 0}}};
  write_effrem(file_, effrem);
  const EffRem found = read_effrem(file_);
  EXPECT_EQ(found.model, effrem.model);
  EXPECT_EQ(found.read, effrem.read);
  EXPECT_EQ(found.length, 8);
  EXPECT_EQ(found.sequences, 2);
  EXPECT_EQ(found.training_length, 4);
  EXPECT_EQ(found.whole_documents, 3);
  EXPECT_FALSE(found.inside_documents);
  ASSERT_EQ(found.points.size(), 2u);
  EXPECT_EQ(found.points[0].distance, 1.0 / 3);
  EXPECT_EQ(found.points[0].error, 0.1);
  EXPECT_THAT(found.points[0].by_sequence, ::testing::ElementsAre(0.25, 0.5));
  EXPECT_TRUE(found.points[1].by_sequence.empty());  // as in older files
  EXPECT_TRUE(std::isnan(found.points[1].distance));
}

TEST_F(EffRemFile, OneSequenceHasNoStandardError) {
  write_effrem(file_, {.read = "text",
                       .length = 8,
                       .sequences = 1,
                       .points = {{.dropped = 1, .distance = 0.5, .error = std::nan("")}}});
  EXPECT_THAT(testing::read_all(file_), Not(HasSubstr("error")));
  const EffRem found = read_effrem(file_);
  EXPECT_TRUE(std::isnan(found.points[0].error));
  EXPECT_THAT(format_table(found), HasSubstr("0.5000        -\n"));
}

TEST_F(EffRemFile, HostileFilesAreRefused) {
  EXPECT_THAT(refusal("[]"), HasSubstr("not an evaluation: expected an object"));
  EXPECT_THAT(refusal(R"({"length": "x"})"), HasSubstr("not an evaluation: (length): invalid"));
  EXPECT_THAT(refusal("{}"), HasSubstr("format_version is 0"));
  EXPECT_THAT(refusal(R"({"format_version": 1, "task": "text"})"), HasSubstr("expected 'effrem'"));
  EXPECT_THAT(refusal(R"({"format_version": 1, "task": "effrem"})"), HasSubstr("has no points"));
  EXPECT_THAT(refusal(R"({"format_version": 1, "task": "effrem", "length": 4,
                          "points": [{"dropped": 1}, {"dropped": 1}]})"),
              HasSubstr("does not follow 1"));
  EXPECT_THAT(refusal(R"({"format_version": 1, "task": "effrem", "length": 4,
                          "points": [{"dropped": 4}]})"),
              HasSubstr("within the length 4"));
  EXPECT_THAT(refusal(R"({"format_version": 1, "task": "effrem", "length": 4, "sequences": 2,
                          "points": [{"dropped": 1, "sequence_distance": [1]}]})"),
              HasSubstr("holds 1 distances of sequences, expected 2"));
}

}  // namespace
}  // namespace longhaul::eval
