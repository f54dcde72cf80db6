// Accuracy of recall by reach, against a count over whole forward passes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "dist/thread_communicator.h"
#include "eval/perplexity.h"
#include "model/init.h"
#include "tests/eval/scratch_folder.h"
#include "tests/eval/tiny_text.h"
#include "tests/support/random_tensor.h"

namespace longhaul::eval {
namespace {

const data::RecallTask kRecall{.keys = 14, .values = 3, .reach = 9};
constexpr int64_t kLength = 120, kSequences = 5;
constexpr uint64_t kSeed = 4;

struct Counted {
  int64_t queries = 0, right = 0;
  double loss = 0;
};

/// By exact reach; the loss from the logits.
std::map<int64_t, Counted> count_plainly(model::LanguageModel& model) {
  std::map<int64_t, Counted> counted;
  for (uint64_t sequence = 0; sequence < kSequences; ++sequence) {
    std::vector<int32_t> tokens(kLength), labels(kLength);
    data::RecallStream(kRecall, kSeed, sequence).next(kLength, tokens.data(), labels.data());
    const core::Tensor logits(model.context(), core::DType::kF64,
                              {1, kLength, kRecall.vocabulary()});
    model.forward(
        {.tokens = core::Tensor::from(model.context(), tokens, {1, kLength}), .logits = logits});
    const std::vector<double> values = testing::values_of(logits);
    for (int64_t i = 0; i < kLength; ++i) {
      if (labels[static_cast<size_t>(i)] < 0) continue;
      int64_t back = 2;  // the key itself, going back pair by pair
      while (tokens[static_cast<size_t>(i - back)] != tokens[static_cast<size_t>(i)]) back += 2;
      Counted& at = counted[back / 2];
      const double* row = &values[static_cast<size_t>(i * kRecall.vocabulary())];
      const auto said = std::max_element(row, row + kRecall.vocabulary()) - row;
      double sum = 0;
      for (int64_t v = 0; v < kRecall.vocabulary(); ++v) sum += std::exp(row[v]);
      ++at.queries;
      at.right += said == labels[static_cast<size_t>(i)];
      at.loss += std::log(sum) - row[labels[static_cast<size_t>(i)]];
    }
  }
  return counted;
}

model::ModelConfig small_config() { return tiny_config(kRecall.vocabulary()); }

TEST(RecallByReach, IsThatOfWholeForwardPassesOnAnyMesh) {
  core::Context context({}, 1);
  model::LanguageModel model(context, small_config(), core::DType::kF64);
  model::initialize(model, 3);
  const std::map<int64_t, Counted> expected = count_plainly(model);
  ASSERT_EQ(expected.rbegin()->first, kRecall.reach);
  for (const dist::MeshShape shape :
       {dist::MeshShape{1, 1}, dist::MeshShape{1, 4}, dist::MeshShape{2, 2}}) {
    dist::run_thread_ranks(shape.data * shape.sequence, [&](dist::Communicator& world) {
      const dist::Mesh mesh(world, shape);
      core::Context own({}, 1);
      model::LanguageModel copy(own, small_config(), core::DType::kF64);
      model::initialize(copy, 3);
      const PositionCurve curve = evaluate_recall(
          mesh, copy, kRecall,
          {.length = kLength, .sequences = kSequences, .piece = 13, .batch = 2, .seed = kSeed});
      int64_t queries = 0;
      for (const Bucket& bucket : curve.reaches) {
        Counted sum;
        for (int64_t reach = bucket.begin; reach < bucket.end; ++reach) {
          if (expected.count(reach) == 0) continue;
          sum.queries += expected.at(reach).queries;
          sum.right += expected.at(reach).right;
          sum.loss += expected.at(reach).loss;
        }
        EXPECT_EQ(bucket.count, sum.queries) << bucket.begin;
        const auto n = static_cast<double>(sum.queries);
        EXPECT_NEAR(bucket.accuracy, static_cast<double>(sum.right) / n, 1e-12);
        EXPECT_NEAR(bucket.loss, sum.loss / n, 1e-9);
        queries += bucket.count;
      }
      int64_t labels = 0;
      for (const Bucket& bucket : curve.buckets) labels += bucket.count;
      EXPECT_EQ(queries, labels);
    });
  }
}

TEST(Recall, TrainingOnEveryTokenChangesNoEvaluation) {
  core::Context context({}, 1);
  model::LanguageModel model(context, small_config(), core::DType::kF64);
  model::initialize(model, 3);
  const auto communicator = dist::solo_communicator();
  const dist::Mesh mesh(*communicator, {});
  const auto measure = [&](bool label_all) {
    data::RecallTask task = kRecall;
    task.label_all = label_all;
    return evaluate_recall(mesh, model, task, {.length = kLength, .sequences = kSequences});
  };
  const PositionCurve queries = measure(false), all = measure(true);
  EXPECT_EQ(all.accuracy, queries.accuracy);
  EXPECT_EQ(all.measured, queries.measured);
  for (size_t i = 0; i < queries.buckets.size(); ++i) {
    EXPECT_EQ(all.buckets[i].count, queries.buckets[i].count) << queries.buckets[i].begin;
    EXPECT_EQ(all.buckets[i].loss, queries.buckets[i].loss) << queries.buckets[i].begin;
  }
}

TEST(RecallByReach, IsTheSameAfterAFile) {
  const testing::ScratchFolder scratch;
  PositionCurve curve{.task = "recall", .length = 4, .sequences = 1};
  curve.buckets = {{.begin = 0, .end = 4, .count = 2}};
  curve.reaches = {{.begin = 3, .end = 4, .count = 7, .loss = 0.5, .accuracy = 0.25}};
  write_curve(scratch.path() / "a.json", curve);
  const PositionCurve read = read_curve(scratch.path() / "a.json");
  ASSERT_EQ(read.reaches.size(), 1u);
  EXPECT_EQ(read.reaches[0].begin, 3);
  EXPECT_EQ(read.reaches[0].count, 7);
  EXPECT_EQ(read.reaches[0].accuracy, 0.25);
  EXPECT_NE(format_table(read).find("pairs since the key"), std::string::npos);
}

}  // namespace
}  // namespace longhaul::eval
