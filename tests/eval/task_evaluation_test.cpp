#include "eval/tasks/task_evaluation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <optional>

#include "dist/thread_communicator.h"
#include "eval/perplexity.h"
#include "eval/tasks/task_sequences.h"
#include "kernels/core/error.h"
#include "model/init.h"
#include "tests/data/a_task.h"
#include "tests/eval/scratch_folder.h"
#include "tests/support/random_tensor.h"

namespace longhaul::eval {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kVocabulary = 11;
constexpr int64_t kSaid = 4;

/// Random tokens; of length 0, as many as the key says. The depth is drawn where none is asked for.
class RandomTask final : public data::Task {
 public:
  std::string name() const override { return "random"; }
  int64_t vocabulary() const override { return kVocabulary; }
  uint64_t fingerprint() const override { return 7; }
  int64_t different(int64_t length) const override { return length == 23 ? 50 : 1000; }
  data::Example example(const data::ExampleRequest& request) const override {
    core::RandomStream random(request.key);
    data::Example example{.depth = request.depth < 0 ? random.uniform() : request.depth};
    const int64_t length =
        request.length > 0 ? request.length : 1 + static_cast<int64_t>(random.below(6));
    for (int64_t i = 0; i < length; ++i)
      example.prompt.push_back(static_cast<int32_t>(random.below(kVocabulary)));
    for (uint64_t left = 2 + random.below(kSaid - 1); left > 0; --left)
      example.answer.push_back(static_cast<int32_t>(random.below(kVocabulary)));
    return example;
  }
};

/// What was said, as digits of the score.
class Witness final : public AnswerScorer {
 public:
  explicit Witness(bool teacher_forced = false) : teacher_forced_(teacher_forced) {}
  int64_t tokens(const data::Example&) const override { return kSaid; }
  double score(const data::Example&, std::span<const int32_t> said) const override {
    EXPECT_EQ(std::ssize(said), kSaid);
    double score = 0, place = 1;
    for (const int32_t token : said) score += token * (place /= kVocabulary);
    return score;
  }
  bool is_graded() const override { return true; }
  bool is_teacher_forced() const override { return teacher_forced_; }

 private:
  bool teacher_forced_;
};

/// Of answers as long as the right ones.
class LongWitness final : public AnswerScorer {
 public:
  explicit LongWitness(bool teacher_forced) : teacher_forced_(teacher_forced) {}
  int64_t tokens(const data::Example& example) const override { return std::ssize(example.answer); }
  double score(const data::Example&, std::span<const int32_t>) const override { return 0; }
  bool is_teacher_forced() const override { return teacher_forced_; }

 private:
  bool teacher_forced_;
};

const RandomTask kTask;
const Witness kWitness, kForcedWitness(true);

model::ModelConfig tiny_config() {
  model::ModelConfig config;
  config.vocabulary = kVocabulary;
  config.width = 12;
  config.layers = 2;
  config.heads = 2;
  config.head_dim = 8;
  config.state_dim = 4;
  config.chunk = 8;
  return config;
}

/// The whole prompt and what was said so far (`forced`: should have been, 0 behind its end), from
/// the beginning, for each token.
std::vector<int32_t> plainly_said(model::LanguageModel& model, const data::Example& example,
                                  int64_t count, bool forced) {
  std::vector<int32_t> tokens = example.prompt;
  std::vector<int32_t> said;
  for (int64_t i = 0; i < count; ++i) {
    const core::Shape shape{1, std::ssize(tokens)};
    const core::Tensor logits(model.context(), core::DType::kF64,
                              {1, std::ssize(tokens), kVocabulary});
    model.forward({.tokens = core::Tensor::from(model.context(), tokens, shape), .logits = logits});
    const std::vector<double> values = testing::values_of(logits);
    const auto last = values.end() - kVocabulary;
    said.push_back(static_cast<int32_t>(std::max_element(last, values.end()) - last));
    const auto at = static_cast<size_t>(i);
    tokens.push_back(!forced ? said.back() : at < example.answer.size() ? example.answer[at] : 0);
  }
  return said;
}

TaskOptions some_options() {
  return {.task = "passkey", .lengths = {5, 23, 40}, .depths = {0, 0.5}, .trials = 3, .seed = 9};
}

/// Scores of trials (length, depth), said plainly.
std::map<std::pair<int64_t, double>, std::vector<double>> plain_scores(const TaskOptions& options,
                                                                       const Witness& witness) {
  core::Context context({}, 1);
  model::LanguageModel model(context, tiny_config(), core::DType::kF64);
  model::initialize(model, 3);
  std::map<std::pair<int64_t, double>, std::vector<double>> scores;
  for (const int64_t length : options.lengths) {
    for (const double depth : options.depths) {
      for (int64_t trial = 0; trial < options.trials; ++trial) {
        const uint64_t stream = (static_cast<uint64_t>(length) << 31) +
                                (static_cast<uint64_t>(1000 * depth) << 20) +
                                static_cast<uint64_t>(trial);
        const data::Example example =
            kTask.example({.length = length,
                           .depth = depth,
                           .key = {options.seed, stream, core::RandomPurpose::kEvaluation}});
        scores[{length, depth}].push_back(witness.score(
            example, plainly_said(model, example, kSaid, witness.is_teacher_forced())));
      }
    }
  }
  return scores;
}

struct Way {
  dist::MeshShape mesh;
  int64_t piece = 16, batch = 2;
};
void PrintTo(const Way& way, std::ostream* out) {
  *out << way.mesh.data << "x" << way.mesh.sequence << ", pieces of " << way.piece
       << ", batches of " << way.batch;
}

/// The same on every rank, or nothing where it was interrupted.
std::optional<TaskResult> on_ranks(const Way& way, TaskOptions options,
                                   const std::function<bool(int rank)>& interrupted = nullptr,
                                   const Witness& witness = kWitness) {
  options.piece = way.piece;
  options.batch = way.batch;
  std::mutex mutex;
  std::vector<std::optional<TaskResult>> results;
  dist::run_thread_ranks(way.mesh.data * way.mesh.sequence, [&](dist::Communicator& world) {
    const dist::Mesh mesh(world, way.mesh);
    core::Context context({}, 1);
    model::LanguageModel model(context, tiny_config(), core::DType::kF64);
    model::initialize(model, 3);
    TaskOptions own = options;
    if (interrupted) own.continuation.interrupted = [&] { return interrupted(world.rank()); };
    std::optional<TaskResult> result;
    try {
      result = evaluate_task(mesh, model, {{"", kTask, witness}}, own);
    } catch (const Interrupted&) {
    }
    const std::lock_guard lock(mutex);
    results.push_back(std::move(result));
  });
  for (const auto& result : results) {
    EXPECT_EQ(result.has_value(), results.front().has_value());
    if (!result) continue;
    for (size_t i = 0; i < result->cells.size(); ++i)
      EXPECT_EQ(result->cells[i].accuracy, results.front()->cells[i].accuracy);
  }
  return results.front();
}

class TaskOnMesh : public ::testing::TestWithParam<Way> {};

void expect_plain_scores(const Way& way, const Witness& witness) {
  const TaskOptions options = some_options();
  const auto expected = plain_scores(options, witness);
  const TaskResult result = on_ranks(way, options, nullptr, witness).value();
  ASSERT_EQ(result.cells.size(), 9u);  // for each length all depths, then each of two
  for (size_t i = 0; i < result.cells.size(); i += 3) {
    const TaskCell &all = result.cells[i], &first = result.cells[i + 1],
                   &second = result.cells[i + 2];
    EXPECT_TRUE(all.all_depths());
    EXPECT_EQ(all.trials, 6);
    EXPECT_EQ(all.length, options.lengths[i / 3]);
    std::vector<double> scores = expected.at({first.length, 0});
    const std::vector<double>& later = expected.at({second.length, 0.5});
    EXPECT_NEAR(first.accuracy, (scores[0] + scores[1] + scores[2]) / 3, 1e-12);
    EXPECT_NEAR(second.accuracy, (later[0] + later[1] + later[2]) / 3, 1e-12);
    // In the order of trials, whichever rank ran them.
    scores.insert(scores.end(), later.begin(), later.end());
    EXPECT_EQ(all.scores, scores);
    EXPECT_TRUE(first.scores.empty());
    EXPECT_EQ(second.depth(), 0.5);
    EXPECT_EQ(second.trials, 3);
    EXPECT_NEAR(all.accuracy, (first.accuracy + second.accuracy) / 2, 1e-12);
  }
}

TEST_P(TaskOnMesh, SaysWhatWholeForwardPassesSay) { expect_plain_scores(GetParam(), kWitness); }
TEST_P(TaskOnMesh, SaysWhatFollowsTheRightAnswer) {
  expect_plain_scores(GetParam(), kForcedWitness);
}

INSTANTIATE_TEST_SUITE_P(Ways, TaskOnMesh,
                         ::testing::Values(Way{{1, 1}}, Way{{1, 1}, 1, 1}, Way{{1, 1}, 2048, 100},
                                           Way{{1, 4}}, Way{{1, 4}, 3, 5}, Way{{2, 2}, 7, 2},
                                           Way{{3, 1}, 16, 4}, Way{{4, 1}, 2048, 1}),
                         [](const auto& info) {
                           const Way& way = info.param;
                           return core::message(way.mesh.data, "x", way.mesh.sequence, "Pieces",
                                                way.piece, "Batches", way.batch);
                         });

TEST(TaskEvaluation, PromptsOfDifferentLengthsGoSideBySide) {
  TaskOptions options = some_options();
  options.lengths = {0};
  options.depths = {};
  options.trials = 12;
  const TaskResult one = on_ranks({{1, 1}, 2048, 1}, options).value();
  for (const Way& way : {Way{{1, 1}, 2048, 12}, Way{{2, 2}, 3, 5}}) {
    const TaskResult other = on_ranks(way, options).value();
    ASSERT_EQ(other.cells.size(), 6u);
    for (size_t i = 0; i < other.cells.size(); ++i) {
      EXPECT_EQ(other.cells[i].trials, one.cells[i].trials);
      EXPECT_NEAR(other.cells[i].accuracy, one.cells[i].accuracy, 1e-12);
    }
  }
}

TEST(TaskEvaluation, DrawnDepthsAreSortedIntoFifths) {
  TaskOptions options = some_options();
  options.lengths = {6};
  options.depths = {};
  options.trials = 40;
  const TaskResult result = on_ranks({{1, 1}, 16, 40}, options).value();
  ASSERT_EQ(result.cells.size(), 6u);
  int64_t trials = 0;
  double sum = 0;
  for (size_t i = 1; i < 6; ++i) {
    const TaskCell& cell = result.cells[i];
    EXPECT_NEAR(cell.depth_low, 0.2 * static_cast<double>(i - 1), 1e-12);
    EXPECT_GT(cell.trials, 0);
    trials += cell.trials;
    sum += cell.accuracy * static_cast<double>(cell.trials);
  }
  EXPECT_EQ(trials, 40);
  EXPECT_NEAR(sum / 40, result.cells[0].accuracy, 1e-12);
  options.depth_matters = false;
  EXPECT_EQ(on_ranks({{1, 1}, 16, 40}, options)->cells.size(), 1u);
}

TEST(TaskEvaluation, AsksNoMoreThanThereAreDifferentQuestions) {
  TaskOptions options = some_options();
  options.lengths = {5, 23};
  options.depths = {};
  options.depth_matters = false;
  options.trials = 60;
  for (const Way& way : {Way{{1, 1}, 64, 64}, Way{{3, 1}, 64, 16}}) {
    const TaskResult result = on_ranks(way, options).value();
    ASSERT_EQ(result.cells.size(), 2u);
    EXPECT_EQ(result.trials_asked, 60);
    EXPECT_EQ(result.cells[0].trials, 60);
    EXPECT_EQ(result.cells[1].trials, 50);
  }
}

TEST(TaskEvaluation, ResumedEqualsUninterrupted) {
  const testing::ScratchFolder scratch;
  for (const Way& way : {Way{{1, 1}}, Way{{2, 2}, 7, 2}}) {
    TaskOptions options = some_options();
    const TaskResult whole = on_ranks(way, options).value();
    options.continuation.file = scratch.path() / "passkey.json.partial";
    int parts = 0;
    std::optional<TaskResult> resumed;
    while (!resumed) {
      ASSERT_LT(++parts, 100);
      std::mutex mutex;
      std::map<int, int> asked;
      resumed = on_ranks(way, options, [&](int rank) {
        const std::lock_guard lock(mutex);
        return rank == 0 && ++asked[rank] > 14;
      });
    }
    EXPECT_GT(parts, 1);
    PartialResults::remove(options.continuation.file);
    ASSERT_EQ(resumed->cells.size(), whole.cells.size());
    for (size_t i = 0; i < whole.cells.size(); ++i) {
      EXPECT_EQ(resumed->cells[i].accuracy, whole.cells[i].accuracy);
      EXPECT_EQ(resumed->cells[i].high, whole.cells[i].high);
    }
  }
}

TEST(TaskEvaluation, MemoryDoesNotGrowWithLength) {
  const auto communicator = dist::solo_communicator();
  const dist::Mesh mesh(*communicator, {});
  const auto copy = data::testing::a_task("copy", {{"letters", 7}});
  const auto peak = [&](const LongWitness& witness, int64_t length) {
    core::Context context({}, 1);
    model::LanguageModel model(context, tiny_config());
    model::initialize(model, 3);
    context.pool().reset_peak();
    evaluate_task(mesh, model, {{"", *copy, witness}},
                  {.lengths = {length}, .depths = {}, .trials = 2, .piece = 64});
    return context.pool().peak_bytes();
  };
  for (const bool teacher_forced : {false, true}) {
    EXPECT_EQ(peak(LongWitness(teacher_forced), 256), peak(LongWitness(teacher_forced), 4 * 256));
  }
}

TEST(TaskEvaluation, ProgressGrowsToOne) {
  TaskOptions options = some_options();
  std::vector<double> shares;
  options.continuation.progress = [&](double share) { shares.push_back(share); };
  on_ranks({{1, 1}, 8, 2}, options);
  ASSERT_GT(shares.size(), 9u);
  EXPECT_TRUE(std::is_sorted(shares.begin(), shares.end()));
  EXPECT_GT(shares.front(), 0);
  EXPECT_NEAR(shares.back(), 1, 1e-12);
}

TEST(TaskEvaluation, RefusesWhatCannotBe) {
  core::Context context({}, 1);
  model::LanguageModel model(context, tiny_config(), core::DType::kF64);
  dist::run_thread_ranks(1, [&](dist::Communicator& world) {
    const dist::Mesh mesh(world, {1, 1});
    const auto copy = data::testing::a_task("copy");
    try {
      evaluate_task(mesh, model, {{"", *copy, kWitness}},
                    {.lengths = {-1}, .depths = {1.5}, .trials = 0});
      ADD_FAILURE() << "no InputError";
    } catch (const core::InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr("lengths: must be from 0 to"));
      EXPECT_THAT(error.what(), HasSubstr("depths: must be from 0 to 1, is 1.5"));
      EXPECT_THAT(error.what(), HasSubstr("trials: must be from 1"));
      EXPECT_THAT(error.what(),
                  HasSubstr("task copy: needs a vocabulary of 30, the model's has 11"));
    }
    // All at once, before the first is measured.
    const auto small = data::testing::a_task("copy", {{"letters", 7}});
    try {
      evaluate_task(mesh, model, {{"", *small, kWitness}}, {.lengths = {2, 30, 1}, .depths = {}});
      ADD_FAILURE() << "no InputError";
    } catch (const core::InputError& error) {
      ASSERT_EQ(error.problems().size(), 2u) << error.what();
      EXPECT_THAT(error.problems()[1], HasSubstr("--lengths: copy task: has no example of 1"));
    }
  });
}

/// Loss while a task is trained: on the answer's tokens alone.
TEST(TaskSequences, CountTheAnswersTokens) {
  core::Context context({}, 1);
  model::LanguageModel model(context, tiny_config(), core::DType::kF64);
  model::initialize(model, 3);
  const auto copy = data::testing::a_task("copy", {{"letters", 7}});
  dist::run_thread_ranks(1, [&](dist::Communicator& world) {
    const dist::Mesh mesh(world, {1, 1});
    const CurveOptions options{.length = 20, .sequences = 3, .piece = 6, .states = false};
    const PositionCurve curve =
        evaluate_curve(mesh, model, task_sequences(*copy, options), options);
    int64_t count = 0;
    for (const Bucket& bucket : curve.buckets) count += bucket.count;
    EXPECT_EQ(count, 3 * 9);  // * $ 8 letters | 8 letters .
    EXPECT_EQ(curve.task, "copy");
  });
}

}  // namespace
}  // namespace longhaul::eval
