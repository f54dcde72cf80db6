#include "eval/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>
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

struct Labelled {
  std::vector<int32_t> tokens, labels;
};

/// Loss and hit of every label, each sequence in one whole forward pass.
struct PlainLabels {
  std::vector<std::vector<double>> losses, hits;
};
PlainLabels plain_labels(model::LanguageModel& model, const std::vector<Labelled>& sequences) {
  core::Context& context = model.context();
  PlainLabels plain;
  for (const Labelled& sequence : sequences) {
    const core::Shape shape{1, static_cast<int64_t>(sequence.tokens.size())};
    const auto tokens = core::Tensor::from(context, sequence.tokens, shape);
    const auto labels = core::Tensor::from(context, sequence.labels, shape);
    const core::Tensor loss(context, core::DType::kF64, shape);
    const core::Tensor predicted(context, core::DType::kI32, shape);
    model.forward({.tokens = tokens, .labels = labels, .loss = loss, .predicted = predicted});
    plain.losses.push_back(testing::values_of(loss));
    plain.hits.push_back(testing::values_of(predicted));
    for (size_t i = 0; i < sequence.labels.size(); ++i) {
      plain.hits.back()[i] = plain.hits.back()[i] == sequence.labels[i];
    }
  }
  return plain;
}

Bucket plain_bucket(Bucket bucket, const PlainLabels& plain,
                    const std::vector<Labelled>& sequences) {
  std::vector<std::pair<double, double>> sums;  // labels and loss of sequences that have some
  double loss = 0, hit = 0;
  for (size_t s = 0; s < sequences.size(); ++s) {
    double sum = 0, count = 0;
    for (auto p = static_cast<size_t>(bucket.begin); p < static_cast<size_t>(bucket.end); ++p) {
      if (sequences[s].labels[p] < 0) continue;
      sum += plain.losses[s][p];
      hit += plain.hits[s][p];
      count += 1;
    }
    loss += sum;
    bucket.count += static_cast<int64_t>(count);
    if (count > 0) sums.emplace_back(count, sum);
    bucket.by_sequence.labels.push_back(count);
    bucket.by_sequence.loss.push_back(count > 0 ? sum / count : 0);
  }
  if (bucket.count == 0) return bucket;
  bucket.loss = loss / static_cast<double>(bucket.count);
  bucket.accuracy = hit / static_cast<double>(bucket.count);
  bucket.loss_error = std::nan("");
  if (sums.size() > 1) {  // of a ratio, clustered by sequence
    const auto m = static_cast<double>(sums.size());
    double squares = 0;
    for (const auto& [count, sum] : sums) squares += std::pow(sum - count * bucket.loss, 2);
    bucket.loss_error = std::sqrt(m / (m - 1) * squares) / static_cast<double>(bucket.count);
  }
  return bucket;
}

/// Recurrent states after a pass over each sequence's first `position` tokens.
StatePoint plain_point(model::LanguageModel& model, const std::vector<Labelled>& sequences,
                       int64_t position) {
  std::vector<double> all, by_layer[2];
  for (const Labelled& sequence : sequences) {
    const std::vector<int32_t> prefix(sequence.tokens.begin(), sequence.tokens.begin() + position);
    const auto tokens = core::Tensor::from(model.context(), prefix, {1, position});
    model::RecurrentState state = model.make_state(1);
    model.forward({.tokens = tokens, .final_state = &state});
    for (size_t i = 0; i < state.size(); ++i) {
      const model::StateSpec& spec = model.state_specs()[i];
      if (spec.kind != model::StateKind::kRecurrent) continue;
      for (double x : testing::values_of(state[i])) {
        all.push_back(x);
        by_layer[spec.layer].push_back(x);
      }
    }
  }
  const auto mean = [](const std::vector<double>& values) {
    double sum = 0;
    for (double x : values) sum += x;
    return sum / static_cast<double>(values.size());
  };
  const auto deviation = [&](const std::vector<double>& values) {
    const double centre = mean(values);
    double squares = 0;
    for (double x : values) squares += std::pow(x - centre, 2);
    return std::sqrt(squares / static_cast<double>(values.size()));
  };
  double squares = 0;
  for (double x : all) squares += x * x;
  return {.position = position,
          .mean = mean(all),
          .deviation = deviation(all),
          .norm = std::sqrt(squares / static_cast<double>(2 * sequences.size())),
          .layer_deviation = {deviation(by_layer[0]), deviation(by_layer[1])}};
}

PositionCurve plain_curve(model::LanguageModel& model, const std::vector<Labelled>& sequences) {
  const auto length = static_cast<int64_t>(sequences.front().tokens.size());
  PositionCurve curve{.length = length};
  const PlainLabels plain = plain_labels(model, sequences);
  for (const Bucket& bucket : log_buckets(length)) {
    curve.buckets.push_back(plain_bucket(bucket, plain, sequences));
    curve.states.push_back(plain_point(model, sequences, bucket.end));
  }
  return curve;
}

void expect_near(double found, double expected, const std::string& what) {
  if (std::isnan(expected)) {
    EXPECT_TRUE(std::isnan(found)) << what;
    return;
  }
  EXPECT_NEAR(found, expected, 1e-10 * std::max(1.0, std::abs(expected))) << what;
}

void expect_same(const PositionCurve& found, const PositionCurve& expected) {
  ASSERT_EQ(found.buckets.size(), expected.buckets.size());
  for (size_t i = 0; i < expected.buckets.size(); ++i) {
    const Bucket &a = found.buckets[i], &b = expected.buckets[i];
    const std::string where = "bucket from " + std::to_string(b.begin);
    EXPECT_EQ(a.begin, b.begin);
    EXPECT_EQ(a.end, b.end);
    EXPECT_EQ(a.count, b.count) << where;
    expect_near(a.loss, b.loss, where);
    expect_near(a.loss_error, b.loss_error, where);
    expect_near(a.accuracy, b.accuracy, where);
    if (b.count == 0) continue;
    EXPECT_EQ(a.by_sequence.labels, b.by_sequence.labels) << where;
    ASSERT_EQ(a.by_sequence.loss.size(), b.by_sequence.loss.size()) << where;
    for (size_t s = 0; s < b.by_sequence.loss.size(); ++s) {
      expect_near(a.by_sequence.loss[s], b.by_sequence.loss[s], where);
    }
  }
  ASSERT_EQ(found.states.size(), expected.states.size());
  for (size_t i = 0; i < expected.states.size(); ++i) {
    const StatePoint &a = found.states[i], &b = expected.states[i];
    const std::string where = "state at " + std::to_string(b.position);
    EXPECT_EQ(a.position, b.position);
    expect_near(a.mean, b.mean, where);
    expect_near(a.deviation, b.deviation, where);
    expect_near(a.norm, b.norm, where);
    ASSERT_EQ(a.layer_deviation.size(), b.layer_deviation.size());
    for (size_t l = 0; l < b.layer_deviation.size(); ++l) {
      expect_near(a.layer_deviation[l], b.layer_deviation[l], where);
    }
  }
}

enum class Task { kText, kRecall };

const data::RecallTask kRecall{.keys = 6, .values = 5, .reach = 4};

/// Of rank 0; all ranks must have found the same bits.
PositionCurve evaluate(Task task, const std::filesystem::path& folder, const Way& way,
                       CurveOptions options) {
  options.piece = way.piece;
  options.batch = way.batch;
  std::mutex mutex;
  std::vector<PositionCurve> curves;
  dist::run_thread_ranks(way.mesh.data * way.mesh.sequence, [&](dist::Communicator& world) {
    const dist::Mesh mesh(world, way.mesh);
    core::Context context({}, 1);
    model::LanguageModel model(context, tiny_config(kVocabulary), core::DType::kF64);
    model::initialize(model, 3);
    PositionCurve curve = task == Task::kText
                              ? evaluate_text(mesh, model, data::TokenFolder(folder), options)
                              : evaluate_recall(mesh, model, kRecall, options);
    const std::lock_guard lock(mutex);
    curves.push_back(std::move(curve));
  });
  for (const PositionCurve& curve : curves) {
    EXPECT_EQ(curve.loss, curves.front().loss);
    if (options.states) {
      EXPECT_EQ(curve.states.back().deviation, curves.front().states.back().deviation);
    }
  }
  return curves.front();
}

class CurveOnMesh : public ::testing::TestWithParam<Way> {};

TEST_P(CurveOnMesh, TextEqualsOneWholeForwardPass) {
  const testing::ScratchFolder scratch;
  const auto path = write_tokens(scratch, 300);
  CurveOptions options{.length = 100, .sequences = 5, .training_length = 32, .seed = 9};
  const PositionCurve curve = evaluate(Task::kText, path, GetParam(), options);

  const data::TokenFolder folder(path);
  std::vector<Labelled> sequences;
  for (int64_t begin : data::find_long_windows(folder, 100, 5, 9).begins) {
    std::vector<int32_t> window(101);
    folder.read(begin, window);
    sequences.push_back({.tokens = {window.begin(), window.end() - 1},
                         .labels = {window.begin() + 1, window.end()}});
  }
  core::Context context({}, 1);
  model::LanguageModel model(context, tiny_config(kVocabulary), core::DType::kF64);
  model::initialize(model, 3);
  PositionCurve expected = plain_curve(model, sequences);
  expect_same(curve, expected);
  // Without states pieces reach across the edges of buckets.
  options.states = false;
  expected.states.clear();
  expect_same(evaluate(Task::kText, path, GetParam(), options), expected);
  EXPECT_EQ(curve.task, "text");
  EXPECT_EQ(curve.training_length, 32);
  EXPECT_TRUE(curve.inside_documents);
  EXPECT_EQ(curve.whole_documents, 6);
  EXPECT_NEAR(curve.perplexity, std::exp(curve.loss), 1e-9);
}

TEST_P(CurveOnMesh, RecallEqualsOneWholeForwardPass) {
  CurveOptions options{.length = 74, .sequences = 5, .seed = 11};
  const PositionCurve curve = evaluate(Task::kRecall, "", GetParam(), options);
  std::vector<Labelled> sequences;
  int64_t labels = 0;
  for (uint64_t s = 0; s < 5; ++s) {
    Labelled sequence{.tokens = std::vector<int32_t>(74), .labels = std::vector<int32_t>(74)};
    data::RecallStream(kRecall, 11, s).next(74, sequence.tokens.data(), sequence.labels.data());
    for (int32_t label : sequence.labels) labels += label >= 0;
    sequences.push_back(std::move(sequence));
  }
  core::Context context({}, 1);
  model::LanguageModel model(context, tiny_config(kVocabulary), core::DType::kF64);
  model::initialize(model, 3);
  PositionCurve expected = plain_curve(model, sequences);
  expect_same(curve, expected);
  // Without states pieces reach across the edges of buckets.
  options.states = false;
  expected.states.clear();
  expect_same(evaluate(Task::kRecall, "", GetParam(), options), expected);
  int64_t counted = 0;
  for (const Bucket& bucket : curve.buckets) counted += bucket.count;
  EXPECT_EQ(counted, labels);
  EXPECT_GT(counted, 20);
  EXPECT_LT(counted, 5 * 74 / 2);
}

/// Six documents of 301 tokens hold no sequence of 500: three of them lie side by side.
TEST_P(CurveOnMesh, TextTakesNoMoreSequencesThanFitWithoutOverlap) {
  const testing::ScratchFolder scratch;
  const auto path = write_tokens(scratch, 300);
  const PositionCurve few =
      evaluate(Task::kText, path, GetParam(), {.length = 500, .sequences = 64, .states = false});
  EXPECT_FALSE(few.inside_documents);
  EXPECT_EQ(few.sequences, 3);
  EXPECT_EQ(few.sequences_asked, 64);
  EXPECT_EQ(few.buckets.back().count, 3 * (500 - few.buckets.back().begin));
}

INSTANTIATE_TEST_SUITE_P(
    Ways, CurveOnMesh,
    ::testing::Values(Way{"Whole", {1, 1}, 1000, 8}, Way{"OddPieces", {1, 1}, 7, 2},
                      Way{"SingleTokens", {1, 1}, 1, 5}, Way{"TwoSequenceRanks", {1, 2}, 16, 2},
                      Way{"ThreeSequenceRanks", {1, 3}, 23, 8}, Way{"TwoDataRanks", {2, 1}, 32, 2},
                      Way{"SixDataRanks", {6, 1}, 32, 2}, Way{"DataTimesSequence", {2, 2}, 25, 1}),
    [](const auto& test) { return test.param.name; });

TEST(Curve, MemoryDoesNotGrowWithLength) {
  const auto communicator = dist::solo_communicator();
  const dist::Mesh mesh(*communicator, {});
  const auto peak = [&](int64_t length, int64_t window = 0) {
    core::Context context({}, 1);
    model::LanguageModel model(context, tiny_config(kVocabulary));
    model::initialize(model, 3);
    context.pool().reset_peak();
    evaluate_recall(mesh, model, kRecall,
                    {.length = length, .sequences = 2, .piece = 64, .window = window});
    return context.pool().peak_bytes();
  };
  EXPECT_EQ(peak(512), peak(8 * 512));
  EXPECT_EQ(peak(512, 16), peak(8 * 512, 16));
}

TEST(Curve, WithoutStatesNoPieceIsCutAndProgressEndsAtOne) {
  const auto communicator = dist::solo_communicator();
  const dist::Mesh mesh(*communicator, {});
  core::Context context({}, 1);
  model::LanguageModel model(context, tiny_config(kVocabulary));
  model::initialize(model, 3);
  std::vector<double> shares;
  const PositionCurve curve = evaluate_recall(
      mesh, model, kRecall,
      {.length = 96,
       .sequences = 3,
       .piece = 48,
       .batch = 2,
       .states = false,
       .continuation = {.progress = [&](double share) { shares.push_back(share); }}});
  EXPECT_TRUE(curve.states.empty());
  ASSERT_EQ(shares.size(), 4u);  // two pieces of two batches
  EXPECT_NEAR(shares[0], 1.0 / 3, 1e-12);
  EXPECT_NEAR(shares[3], 1, 1e-12);
  for (const Bucket& bucket : curve.buckets) EXPECT_EQ(bucket.count == 0, bucket.loss == 0);
}

TEST(Curve, RefusesWhatItCannotDo) {
  const auto communicator = dist::solo_communicator();
  const dist::Mesh mesh(*communicator, {});
  core::Context context({}, 1);
  model::LanguageModel model(context, tiny_config(8));
  try {
    evaluate_recall(mesh, model, kRecall, {.length = 0, .sequences = 1, .piece = -1, .window = 1});
    FAIL();
  } catch (const core::InputError& error) {
    EXPECT_EQ(error.problems().size(), 3u) << error.what();
  }
  try {
    evaluate_recall(mesh, model, kRecall, {.length = 8});
    FAIL();
  } catch (const core::InputError& error) {
    EXPECT_NE(std::string(error.what()).find("vocabulary of 11, the model's has 8"),
              std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace longhaul::eval
