// The loop: what it computes, on any mesh; what it does with steps that fail.
#include "trainer/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <mutex>
#include <string>

#include "kernels/core/error.h"
#include "model/init.h"
#include "tests/model/full_disk.h"
#include "tests/model/scratch_folder.h"
#include "tests/support/compare.h"
#include "tests/support/random_tensor.h"
#include "tests/trainer/tiny_run.h"
#include "trainer/training_checkpoint.h"

namespace longhaul::trainer {
namespace {

using testing::metric;
using testing::ScratchFolder;
using testing::tensors_of;
using testing::TinyRun;

struct MeshCase {
  SourceKind source;
  dist::MeshShape mesh;
  int64_t segments = 1;
};

class AnyMesh : public ::testing::TestWithParam<MeshCase> {};

std::vector<MeshCase> mesh_cases() {
  std::vector<MeshCase> cases;
  for (const SourceKind source : {SourceKind::kZero, SourceKind::kNoise, SourceKind::kFittedNoise,
                                  SourceKind::kStatePassing, SourceKind::kTbtt}) {
    for (const dist::MeshShape mesh : {dist::MeshShape{2, 1}, {1, 2}, {1, 3}, {2, 2}}) {
      cases.push_back({source, mesh});
    }
    cases.push_back({source, {1, 2}, 3});
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Trainer, AnyMesh, ::testing::ValuesIn(mesh_cases()), [](const auto& info) {
  const MeshCase& c = info.param;
  return core::message(enum_names(c.source)[static_cast<size_t>(c.source)], "_data_", c.mesh.data,
                       "_sequence_", c.mesh.sequence, "_segments_", c.segments);
});

TEST_P(AnyMesh, ComputesWhatOneRankDoes) {
  const ScratchFolder one, many;
  TinyRun run;
  run.config.initial_state = {.source = GetParam().source, .zero_probability = 0.3};
  run.config.batch.accumulation = 2;
  run.config.batch.segments = GetParam().segments;
  run.fresh_every = 3;
  run.train(one.path());
  run.mesh = GetParam().mesh;
  run.train(many.path());
  for (const char* name : {"loss", "gradient_norm", "state_norm", "rate"}) {
    EXPECT_TRUE(testing::close(metric(many.path(), name), metric(one.path(), name), 1e-10)) << name;
  }
  const auto expected = tensors_of(one / "checkpoints/step-5/model.safetensors");
  for (const auto& [name, values] : tensors_of(many / "checkpoints/step-5/model.safetensors")) {
    EXPECT_TRUE(testing::close(values, expected.at(name), 1e-9)) << name;
  }
}

TEST(Trainer, LossIsTheMeanOverLabelsAndStateNormThatOfFinalStates) {
  const ScratchFolder folder;
  TinyRun run;
  run.config.batch.accumulation = 2;
  run.config.schedule.steps = 1;
  run.train(folder.path());

  core::Context context({}, 1);
  model::LanguageModel model(context, testing::tiny_run_model(), core::DType::kF64);
  model::initialize(model, 3);
  testing::StreamSource batches(2, 12, 0);
  double loss = 0, squares = 0;
  int64_t labels = 0;
  for (int i = 0; i < 2; ++i) {
    data::Batch batch = batches.next();
    model::RecurrentState final_state = model.make_state(2);
    const auto sum = model.forward({.tokens = {batch.tokens.data(), core::DType::kI32, {2, 12}},
                                    .labels = {batch.labels.data(), core::DType::kI32, {2, 12}},
                                    .final_state = &final_state});
    loss += sum.sum;
    labels += sum.count;
    for (size_t t = 0; t < final_state.size(); ++t) {
      if (model.state_specs()[t].kind != model::StateKind::kRecurrent) continue;
      for (const double v : testing::values_of(final_state[t])) squares += v * v;
    }
  }
  EXPECT_LT(labels, 48);  // some labels do not count
  EXPECT_NEAR(metric(folder.path(), "loss")[0], loss / static_cast<double>(labels), 1e-12);
  EXPECT_NEAR(metric(folder.path(), "state_norm")[0], std::sqrt(squares / 4), 1e-12);
}

TEST(Trainer, StartsFromTheSourcesStates) {
  std::vector<double> losses;
  for (const SourceKind source : {SourceKind::kZero, SourceKind::kNoise}) {
    const ScratchFolder folder;
    TinyRun run;
    run.config.initial_state.source = source;
    run.config.schedule.steps = 1;
    run.train(folder.path());
    losses.push_back(metric(folder.path(), "loss")[0]);
  }
  EXPECT_GT(std::abs(losses[1] - losses[0]), 1e-6);
}

TEST(Trainer, TbttIsOnePassOverTheJoinedSequenceWithStoppedGradients) {
  // Two lanes in two micro-steps of one optimizer step, against the same tokens as two segments.
  const ScratchFolder apart, joined;
  TinyRun run;
  run.config.batch = {.length = 6, .sequences = 4, .accumulation = 2};
  run.config.initial_state.source = SourceKind::kTbtt;
  run.config.schedule.steps = 1;
  run.config.optimizer.clip = 0;
  run.train(apart.path());
  run.config.batch = {.length = 12, .sequences = 2, .segments = 2};
  run.config.initial_state.source = SourceKind::kZero;
  run.train(joined.path());
  EXPECT_TRUE(testing::close(metric(apart.path(), "loss"), metric(joined.path(), "loss"), 1e-13));
  // After one step the first moment is (1 − β₁) · gradient.
  const auto expected = tensors_of(joined / "checkpoints/step-1/optimizer.safetensors");
  const auto found = tensors_of(apart / "checkpoints/step-1/optimizer.safetensors");
  EXPECT_TRUE(testing::close(found.at("first_moment"), expected.at("first_moment"), 1e-12));
}

TEST(Trainer, SegmentsCutGradientsButNotStates) {
  const ScratchFolder cut, whole;
  TinyRun run;
  run.config.schedule.steps = 1;
  run.train(whole.path());
  run.config.batch.segments = 4;
  run.train(cut.path());
  EXPECT_NEAR(metric(cut.path(), "loss")[0], metric(whole.path(), "loss")[0], 1e-13);
  EXPECT_NEAR(metric(cut.path(), "state_norm")[0], metric(whole.path(), "state_norm")[0], 1e-13);
  EXPECT_GT(
      std::abs(metric(cut.path(), "gradient_norm")[0] - metric(whole.path(), "gradient_norm")[0]),
      1e-6);
}

TEST(Trainer, TruncatedGradientsStopAtTheBordersOfRanks) {
  const ScratchFolder segments, ranks;
  TinyRun run;
  run.config.schedule.steps = 1;
  run.config.optimizer.clip = 0;
  run.config.batch.segments = 2;
  run.train(segments.path());
  run.config.batch.segments = 1;
  run.config.full_gradient = false;
  run.mesh = {1, 2};
  run.train(ranks.path());
  const auto expected = tensors_of(segments / "checkpoints/step-1/optimizer.safetensors");
  std::vector<double> found;  // each rank has written its share
  for (const char* file : {"optimizer-0.safetensors", "optimizer-1.safetensors"}) {
    for (const auto& [name, values] : tensors_of(ranks / "checkpoints/step-1" / file)) {
      if (name.starts_with("first_moment")) found.insert(found.end(), values.begin(), values.end());
    }
  }
  EXPECT_TRUE(testing::close(found, expected.at("first_moment"), 1e-12));
}

TEST(Trainer, RecomputationChangesNothing) {
  const ScratchFolder kept, recomputed;
  TinyRun run;
  run.train(kept.path());
  run.config.batch.recompute = true;
  run.train(recomputed.path());
  EXPECT_TRUE(
      testing::close(metric(recomputed.path(), "loss"), metric(kept.path(), "loss"), 1e-12));
}

TEST(Trainer, AskedForGraphsTheCpuDoesWithoutThem) {
  TinyRun run;
  const ScratchFolder plain, asked;
  run.train(plain.path());
  run.config.cuda_graphs = true;
  run.train(asked.path());
  EXPECT_EQ(testing::timeless_metrics(asked.path()), testing::timeless_metrics(plain.path()));
}

TEST(Trainer, LearnsTheRecallTask) {
  const ScratchFolder folder;
  TinyRun run;
  run.recall = true;
  run.dtype = core::DType::kF32;
  run.config.batch = {.length = 32, .sequences = 8};
  run.config.schedule.steps = 50;
  run.config.optimizer.rate = 0.02;
  run.train(folder.path());
  const std::vector<double> loss = metric(folder.path(), "loss");
  ASSERT_EQ(loss.size(), 50u);
  EXPECT_GT(loss.front(), 1.8);  // 10 tokens: ln 10 = 2.3 at the start
  EXPECT_LT(loss.back(), 1.5);   // 4 values: ln 4 = 1.39 without any recall
}

/// Spoils a parameter on the last rank before step `from` and mends it before step `to`.
std::function<void(int, int64_t, model::LanguageModel&)> spoil(int rank, int64_t from, int64_t to,
                                                               double value) {
  return [=](int own, int64_t step, model::LanguageModel& model) {
    if (own != rank) return;
    const core::TensorView view = model.parameters().value(model.parameters().list().front());
    const core::TensorView row = view.slice(0, 1, 2);
    std::vector<double> values = testing::values_of(row);
    if (step == from) values[0] = value;
    if (step == to) values[0] = 0.01;
    testing::assign(row, values);
  };
}

class FailingStep : public ::testing::TestWithParam<SourceKind> {};
INSTANTIATE_TEST_SUITE_P(Trainer, FailingStep,
                         ::testing::Values(SourceKind::kZero, SourceKind::kFittedNoise,
                                           SourceKind::kStatePassing, SourceKind::kTbtt),
                         [](const auto& info) {
                           return std::string(enum_names(info.param)[size_t(info.param)]);
                         });

TEST_P(FailingStep, IsSkippedOnAllRanksAndLeavesNoTrace) {
  const ScratchFolder folder;
  TinyRun run;
  run.mesh = {2, 1};
  run.config.initial_state.source = GetParam();
  run.config.optimizer.skips_in_row = 3;
  run.config.schedule.steps = 6;
  run.before_step = spoil(1, 3, 5, std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(run.train(folder.path()), Ending::kDone);
  EXPECT_EQ(metric(folder.path(), "skipped"), (std::vector<double>{0, 0, 1, 1, 0, 0}));
  const std::vector<double> loss = metric(folder.path(), "loss");
  for (size_t i = 0; i < loss.size(); ++i) EXPECT_EQ(std::isfinite(loss[i]), i < 2 || i > 3) << i;
  int64_t events = 0;
  for (const Record& record : read_metrics(folder / "metrics.jsonl")) {
    if (record.kind != "event") continue;
    events += 1;
    EXPECT_NE(record.text.find("first on rank 1"), std::string::npos) << record.text;
  }
  EXPECT_EQ(events, 2);
  for (const char* file : {"sources-0.safetensors", "sources-1.safetensors"}) {
    for (const auto& [name, values] : tensors_of(folder.path() / "checkpoints/step-6" / file)) {
      for (const double v : values) EXPECT_TRUE(std::isfinite(v)) << name;
    }
  }
}

TEST(FailingStep, TooManyInARowEndTheRun) {
  const ScratchFolder folder;
  TinyRun run;
  run.mesh = {2, 1};
  run.config.optimizer.skips_in_row = 3;
  run.config.schedule.steps = 9;
  run.before_step = spoil(1, 4, 0, std::numeric_limits<double>::infinity());
  const std::string message = testing::error_of([&] { run.train(folder.path()); });
  for (const char* part : {"3 steps in a row", "first on rank 1", "no checkpoint is from before"}) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
  EXPECT_EQ(metric(folder.path(), "loss").size(), 6u);
}

/// How a run ends whose steps from the fifth on all fail; `stop_at`: saved at that step, and
/// resumed.
std::string divergence(const ScratchFolder& folder, int64_t every, int64_t stop_at) {
  TinyRun run;
  run.config.optimizer.skips_in_row = 3;
  run.config.schedule.steps = 9;
  run.config.checkpoint.every = every;
  run.config.checkpoint.keep = 3;
  run.config.stop_at = stop_at;
  run.before_step = spoil(0, 5, 0, std::numeric_limits<double>::infinity());
  if (stop_at > 0) {
    EXPECT_EQ(run.train(folder.path()), Ending::kInterrupted);
    run.config.stop_at = 0;
    run.resume = true;
  }
  return testing::error_of([&] { run.train(folder.path()); });
}

TEST(FailingStep, NoCheckpointOfARowOfThemIsCalledSound) {
  const ScratchFolder every_step, stopped, only_fourth;
  const auto says = [](const std::string& message, const std::string& part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  const std::string sound =
      "those that step 4 left, and the last sound checkpoint is that of step 3;";
  says(divergence(every_step, 1, 0), sound);
  EXPECT_EQ(all_checkpoints(every_step.path()), (std::vector<int64_t>{2, 3, 4}));
  says(divergence(stopped, 1, 6), sound);
  EXPECT_EQ(all_checkpoints(stopped.path()), (std::vector<int64_t>{2, 3, 4, 6}));
  says(divergence(only_fourth, 4, 0), "no checkpoint is from before it; start again with a lower");
}

TEST(Trainer, EvaluatesWhenDueAndAtTheEnd) {
  const ScratchFolder folder;
  TinyRun run;
  run.config.evaluate_every = 2;
  run.mesh = {2, 1};
  std::mutex mutex;
  std::vector<int64_t> called;
  run.evaluate = [&](int64_t step) {
    const std::lock_guard lock(mutex);
    called.push_back(step);
    return Numbers{{"perplexity", 0.5 * double(step)}};
  };
  run.train(folder.path());
  EXPECT_EQ(called, (std::vector<int64_t>{2, 2, 4, 4, 5, 5}));
  std::vector<double> recorded;
  for (const Record& record : read_metrics(folder / "metrics.jsonl")) {
    if (record.kind == "evaluation") recorded.push_back(record.values.at(0).second);
  }
  EXPECT_EQ(recorded, (std::vector<double>{1, 2, 2.5}));
}

TEST(Trainer, EvaluatesFirstWhatAnInterruptionLeftOpen) {
  const ScratchFolder folder;
  TinyRun run;
  run.config.evaluate_every = 2;
  std::vector<int64_t> called;
  run.evaluate = [&](int64_t step) {
    called.push_back(step);
    return Numbers{{"perplexity", 1}};
  };
  run.interrupt_at = 2;
  EXPECT_EQ(run.train(folder.path()), Ending::kInterrupted);
  EXPECT_TRUE(called.empty());

  // Interrupted while it evaluates the fourth step: saved, and evaluated again.
  run.interrupt_at = 0;
  run.resume = true;
  const auto evaluate = run.evaluate;
  run.evaluate = [&](int64_t step) -> std::optional<Numbers> {
    if (step != 4) return evaluate(step);
    called.push_back(-step);
    return std::nullopt;
  };
  EXPECT_EQ(run.train(folder.path()), Ending::kInterrupted);
  run.evaluate = evaluate;
  EXPECT_EQ(run.train(folder.path()), Ending::kDone);
  EXPECT_EQ(called, (std::vector<int64_t>{2, -4, 4, 5}));
}

TEST(Trainer, EvaluatesAStepOnceWhereItWasStoppedAfterIt) {
  const ScratchFolder folder;
  TinyRun run;
  run.config.evaluate_every = 2;
  run.config.stop_at = 4;
  std::vector<int64_t> called;
  run.evaluate = [&](int64_t step) {
    called.push_back(step);
    return Numbers{{"perplexity", 1}};
  };
  EXPECT_EQ(run.train(folder.path()), Ending::kInterrupted);
  run.config.stop_at = 0;
  run.resume = true;
  EXPECT_EQ(run.train(folder.path()), Ending::kDone);
  EXPECT_EQ(called, (std::vector<int64_t>{2, 4, 5}));
}

TEST(Trainer, ReportsSpeedAndUtilisation) {
  const ScratchFolder folder;
  TinyRun run;
  run.config.peak_flops = 1e9;
  run.mesh = {2, 1};
  run.train(folder.path());
  core::Context context({}, 1);
  const double flops =
      model::LanguageModel(context, testing::tiny_run_model(), core::DType::kF64).flops_per_token();
  const auto speed = metric(folder.path(), "tokens_per_second");
  const auto utilisation = metric(folder.path(), "utilisation");
  const auto waited = metric(folder.path(), "data_seconds");
  ASSERT_EQ(utilisation.size(), 5u);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_NEAR(utilisation[i], 3 * flops * speed[i] / 2e9, 1e-9 * utilisation[i]);
    EXPECT_GT(waited.at(i), 0);
    EXPECT_LT(waited.at(i), 48 / speed[i]);
  }
  EXPECT_EQ(read_metrics(folder / "metrics.jsonl").back().tokens, 5 * 48);
}

TEST(Trainer, ImpossibleBatchesAreRefused) {
  const ScratchFolder folder;
  TinyRun run;
  run.config.batch.accumulation = 3;
  EXPECT_NE(testing::input_error_of([&] { run.train(folder.path()); }).find("data.sequences"),
            std::string::npos);
  run = TinyRun();
  run.mesh = {1, 2};
  run.config.batch.segments = 7;
  EXPECT_NE(testing::input_error_of([&] { run.train(folder.path()); }).find("data.length"),
            std::string::npos);
}

}  // namespace
}  // namespace longhaul::trainer
