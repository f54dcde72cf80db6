// Means by sequence: what arms that read the same sequences are compared by.
#include "eval/sequence_means.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "dist/thread_communicator.h"
#include "eval/estimate.h"
#include "eval/findings.h"
#include "eval/perplexity.h"
#include "eval/report_tables.h"
#include "kernels/core/error.h"
#include "model/init.h"
#include "tests/eval/scratch_folder.h"
#include "tests/eval/tiny_text.h"

namespace longhaul::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const std::vector<double> kOneEach{1, 1, 1, 1};

TEST(SequenceMeans, ErrorsByHand) {
  // r = (1 · 2 + 3 · 6) / 4 = 5
  const Deviations two = deviations({1, 3}, {2, 6});
  EXPECT_THAT(two.values, ElementsAre(-0.75, 0.75));
  EXPECT_DOUBLE_EQ(clustered_error(two), std::sqrt(2 * 2 * 0.5625));
  EXPECT_TRUE(std::isnan(clustered_error(deviations({0, 3}, {0, 6}))));
  EXPECT_TRUE(std::isnan(clustered_error(deviations({}, {}))));
  EXPECT_DOUBLE_EQ(clustered_error(difference(two, two)), 0);
  EXPECT_TRUE(difference(two, deviations(kOneEach, {1, 2, 3, 4})).values.empty());
}

/// Sequences that are easy and hard for all; `worse`: what the arm adds to each.
PositionCurve curve_of(const std::vector<double>& worse, const std::string& seed = "1") {
  PositionCurve curve{.task = "text", .length = 4, .sequences = 4, .training_length = 2};
  curve.measured = {{"model", std::to_string(worse[0])}, {"task", "text"}, {"seed", seed}};
  curve.buckets = log_buckets(4);
  for (Bucket& bucket : curve.buckets) {
    bucket.count = 4;
    bucket.by_sequence = {.labels = kOneEach, .loss = {1, 2, 3, 4}, .accuracy = {0, 0, 0, 0}};
    for (size_t s = 0; s < worse.size(); ++s) {
      if (bucket.begin >= 2) bucket.by_sequence.loss[s] += worse[s];
      bucket.loss += bucket.by_sequence.loss[s] / 4;
    }
    bucket.loss_error = clustered_error(deviations(kOneEach, bucket.by_sequence.loss));
  }
  return curve;
}

Estimate estimate(const PositionCurve& curve) {
  const Bucket& last = curve.buckets.back();
  return {.value = last.loss,
          .error = last.loss_error,
          .seeds = {},
          .by_sequence = deviations(last.by_sequence.labels, last.by_sequence.loss),
          .sequences = sequences_read(curve.measured)};
}

TEST(SequenceMeans, ArmsOnTheSameSequencesAreComparedSequenceBySequence) {
  const PositionCurve base = curve_of({0, 0, 0, 0}), worse = curve_of({0.3, 0.31, 0.29, 0.3});
  EXPECT_EQ(differ(estimate(base), estimate(worse)), true);
  EXPECT_EQ(differ(estimate(base), estimate(curve_of({0.3, 0.31, 0.29, 0.3}, "2"))), false)
      << "other sequences";
  EXPECT_EQ(differ(estimate(base), estimate(curve_of({0.3, -0.31, 0.29, -0.2}))), false);
  Estimate older = estimate(worse);
  older.by_sequence = {};
  EXPECT_EQ(differ(estimate(base), older), false);
  EXPECT_EQ(differ(estimate(base), estimate(curve_of({0.3, std::nan(""), 0.3, 0.3}))),
            std::nullopt);
}

TEST(SequenceMeans, TheTableMarksWhatIsNotToldApartSequenceBySequence) {
  const PositionCurve base = curve_of({0, 0, 0, 0}), worse = curve_of({0.3, 0.31, 0.29, 0.3}),
                      other = curve_of({0.3, 0.31, 0.29, 0.3}, "2");
  const auto table = [&](const PositionCurve& arm) {
    return length_table(
        {.task = "text", .title = "", .curves = {&base, &arm}, .training_length = 2}, {"a", "b"});
  };
  EXPECT_THAT(table(worse), HasSubstr("○ not told apart from the best, by two standard errors (of "
                                      "the differences sequence by sequence"));
  EXPECT_THAT(table(worse), Not(HasSubstr("<td class=\"beyond\">○")));
  EXPECT_THAT(table(other), HasSubstr("<td class=\"beyond\">○"));
}

TEST(SequenceMeans, AnArmIsJudgedByTheDifferencesOfItsOwnSequences) {
  PositionCurve worse = curve_of({0.3, 0.31, 0.29, 0.3});
  const auto verdict = [&] {
    return findings({.task = "text", .title = "", .curves = {&worse}, .training_length = 2},
                    {"a"})[0];
  };
  EXPECT_EQ(verdict(), "Every arm fails past its training length.");
  for (Bucket& bucket : worse.buckets) bucket.by_sequence = {};  // an older file
  EXPECT_EQ(verdict(), "Whether an arm fails past its training length is undecided.");
}

const data::RecallTask kRecall{.keys = 6, .values = 5, .reach = 4};

TEST(SequenceMeans, AreTheSameAfterAnInterruption) {
  const testing::ScratchFolder scratch;
  const auto communicator = dist::solo_communicator();
  const dist::Mesh mesh(*communicator, {});
  core::Context context({}, 1);
  model::LanguageModel model(context, tiny_config(kVocabulary), core::DType::kF64);
  model::initialize(model, 3);
  CurveOptions options{.length = 64, .sequences = 5, .piece = 16, .batch = 1};
  const PositionCurve whole = evaluate_recall(mesh, model, kRecall, options);
  int asked = 0;
  options.continuation.file = scratch.path() / "x.partial";
  options.continuation.interrupted = [&] { return asked++ > 20; };
  EXPECT_THROW(evaluate_recall(mesh, model, kRecall, options), Interrupted);
  options.continuation.interrupted = nullptr;
  const PositionCurve resumed = evaluate_recall(mesh, model, kRecall, options);
  for (size_t i = 0; i < whole.buckets.size(); ++i) {
    const Bucket &a = whole.buckets[i], &b = resumed.buckets[i];
    EXPECT_EQ(a.by_sequence.labels, b.by_sequence.labels);
    EXPECT_EQ(a.by_sequence.loss, b.by_sequence.loss);
    EXPECT_EQ(a.by_sequence.accuracy, b.by_sequence.accuracy);
    if (a.count > 0 && !std::isnan(a.loss_error)) {
      EXPECT_EQ(a.loss_error, b.loss_error);
    }
  }
}

class SequenceMeansFile : public ::testing::Test {
 protected:
  std::string refusal(const std::string& bucket) const {
    scratch_.write("a.json", R"({"format_version":1,"task":"text","length":1,"sequences":2,
        "buckets":[{"end":1,"count":3)" +
                                 bucket + "}]}");
    try {
      read_curve(file_);
    } catch (const core::InputError& error) {
      return error.what();
    }
    return "none";
  }
  const testing::ScratchFolder scratch_;
  const std::filesystem::path file_ = scratch_.path() / "a.json";
};

TEST_F(SequenceMeansFile, ComeBackToSinglePrecision) {
  PositionCurve curve = curve_of({0.1, 0.2, 0.3, 0.4});
  curve.reaches = {{.begin = 1, .end = 2, .count = 9}};
  curve.reaches[0].by_sequence = {
      .labels = {0, 2, 3, 4}, .loss = {0, 1, 2, 3}, .accuracy = {0, 1, 0.5, 0.25}};
  write_curve(file_, curve);
  const PositionCurve found = read_curve(file_);
  const SequenceMeans& means = found.buckets.back().by_sequence;
  EXPECT_EQ(means.labels, kOneEach);
  EXPECT_NEAR(means.loss[1], 2.2, 1e-6);
  EXPECT_THAT(found.reaches[0].by_sequence.labels, ElementsAre(0, 2, 3, 4));
  EXPECT_THAT(found.reaches[0].by_sequence.accuracy, ElementsAre(0, 1, 0.5, 0.25));
}

TEST_F(SequenceMeansFile, AreLeftOutWhereThereAreMany) {
  PositionCurve curve = curve_of({0, 0, 0, 0});
  curve.sequences = kMostSequenceMeans / std::ssize(curve.buckets);
  for (Bucket& bucket : curve.buckets) {
    const std::vector<double> many(static_cast<size_t>(curve.sequences), 1.23456789);
    bucket.by_sequence = {.labels = many, .loss = many, .accuracy = many};
  }
  write_curve(file_, curve);
  EXPECT_LT(std::filesystem::file_size(file_), 800'000u);
  EXPECT_FALSE(read_curve(file_).buckets[0].by_sequence.loss.empty());
  ++curve.sequences;
  write_curve(file_, curve);
  EXPECT_TRUE(read_curve(file_).buckets[0].by_sequence.loss.empty());
}

TEST_F(SequenceMeansFile, HostileFilesAreRefused) {
  EXPECT_EQ(refusal(""), "none");  // an older file
  EXPECT_EQ(refusal(R"(,"sequence_loss":[1,2],"sequence_accuracy":[0,1])"), "none");
  for (const char* bad :
       {R"(,"sequence_loss":[1],"sequence_accuracy":[0])",
        R"(,"sequence_loss":[1,2],"sequence_accuracy":[0])",
        R"(,"sequence_loss":[1,2],"sequence_accuracy":[0,1],"sequence_labels":[1])",
        R"(,"sequence_loss":[1,2],"sequence_accuracy":[0,1],"sequence_labels":[1,-1])",
        R"(,"sequence_labels":[1,2])"}) {
    EXPECT_THAT(refusal(bad), HasSubstr("bucket [0, 1) does not hold the means of 2 sequences"));
  }
}

}  // namespace
}  // namespace longhaul::eval
