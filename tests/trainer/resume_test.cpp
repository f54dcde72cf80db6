// A run that was interrupted and resumed is the uninterrupted one, bit for bit.
#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "kernels/core/error.h"
#include "tests/model/full_disk.h"
#include "tests/model/scratch_folder.h"
#include "tests/trainer/tiny_run.h"

namespace longhaul::trainer {
namespace {

using testing::content_of;
using testing::names_in;
using testing::ScratchFolder;
using testing::timeless_metrics;
using testing::TinyRun;

struct Setting {
  SourceKind source;
  dist::MeshShape mesh;
  core::DType dtype = core::DType::kF32;
  bool recall = false;
};

TinyRun run_of(const Setting& setting) {
  TinyRun run;
  run.config.initial_state = {.source = setting.source, .zero_probability = 0.3};
  run.config.batch.accumulation = 2;
  run.config.schedule.steps = 6;
  run.mesh = setting.mesh;
  run.dtype = setting.dtype;
  run.recall = setting.recall;
  run.fresh_every = 5;
  return run;
}

class Resumption : public ::testing::TestWithParam<Setting> {};

std::vector<Setting> settings() {
  std::vector<Setting> all;
  for (const SourceKind source : {SourceKind::kZero, SourceKind::kNoise, SourceKind::kFittedNoise,
                                  SourceKind::kStatePassing, SourceKind::kTbtt}) {
    all.push_back({source, {1, 1}});
    all.push_back({source, {1, 1}, core::DType::kF32, true});
    all.push_back({source, {2, 1}});
    all.push_back({source, {1, 2}});
  }
  all.push_back({SourceKind::kStatePassing, {2, 2}, core::DType::kF64});
  return all;
}

INSTANTIATE_TEST_SUITE_P(Sources, Resumption, ::testing::ValuesIn(settings()),
                         [](const auto& info) {
                           const Setting& s = info.param;
                           return core::message(enum_names(s.source)[static_cast<size_t>(s.source)],
                                                "_data_", s.mesh.data, "_sequence_",
                                                s.mesh.sequence, "_", core::name_of(s.dtype),
                                                s.recall ? "_recall" : "");
                         });

TEST_P(Resumption, EqualsTheUninterruptedRun) {
  const ScratchFolder whole, parts;
  TinyRun run = run_of(GetParam());
  EXPECT_EQ(run.train(whole.path()), Ending::kDone);
  run.interrupt_at = 2;
  EXPECT_EQ(run.train(parts.path()), Ending::kInterrupted);
  EXPECT_EQ(names_in(parts / "checkpoints"), std::set<std::string>{"step-2"});
  run.resume = true;
  run.interrupt_at = 5;
  EXPECT_EQ(run.train(parts.path()), Ending::kInterrupted);
  run.interrupt_at = 0;
  EXPECT_EQ(run.train(parts.path()), Ending::kDone);

  EXPECT_EQ(timeless_metrics(parts.path()), timeless_metrics(whole.path()));
  const auto files = names_in(whole / "checkpoints/step-6");
  EXPECT_EQ(names_in(parts / "checkpoints/step-6"), files);
  EXPECT_GE(files.size(), 5u);
  for (const std::string& file : files) {
    EXPECT_EQ(content_of(parts.path() / "checkpoints/step-6" / file),
              content_of(whole.path() / "checkpoints/step-6" / file))
        << file;
  }
}

TEST(Resumption, ContinuesWhereAKilledRunSavedLast) {
  const ScratchFolder whole, parts;
  TinyRun run = run_of({SourceKind::kStatePassing, {1, 1}});
  run.config.checkpoint.every = 2;
  EXPECT_EQ(run.train(whole.path()), Ending::kDone);
  // Killed in step 4: metrics are one step ahead of the checkpoint of step 2.
  TinyRun killed = run;
  killed.before_step = [](int, int64_t step, model::LanguageModel&) {
    if (step == 4) throw core::Error("killed");
  };
  EXPECT_THROW(killed.train(parts.path()), core::Error);
  EXPECT_EQ(testing::metric(parts.path(), "loss").size(), 3u);
  run.resume = true;
  EXPECT_EQ(run.train(parts.path()), Ending::kDone);
  EXPECT_EQ(timeless_metrics(parts.path()), timeless_metrics(whole.path()));
  EXPECT_EQ(content_of(parts / "checkpoints/step-6/model.safetensors"),
            content_of(whole / "checkpoints/step-6/model.safetensors"));
}

TEST(Resumption, KeepsTheNewestCheckpoints) {
  const ScratchFolder folder;
  TinyRun run = run_of({SourceKind::kZero, {1, 1}});
  run.config.checkpoint = {.every = 1, .keep = 3};
  run.train(folder.path());
  EXPECT_EQ(names_in(folder / "checkpoints"),
            (std::set<std::string>{"step-4", "step-5", "step-6"}));
}

TEST(Resumption, OfAFinishedRunDoesNothing) {
  const ScratchFolder folder;
  TinyRun run = run_of({SourceKind::kZero, {1, 1}});
  run.train(folder.path());
  const std::string metrics = content_of(folder / "metrics.jsonl");
  run.resume = true;
  EXPECT_EQ(run.train(folder.path()), Ending::kDone);
  EXPECT_EQ(content_of(folder / "metrics.jsonl"), metrics);
}

TEST(Resumption, WithoutACheckpointIsANewRun) {
  const ScratchFolder folder;
  TinyRun run = run_of({SourceKind::kZero, {1, 1}});
  run.resume = true;
  EXPECT_EQ(run.train(folder.path()), Ending::kDone);
  EXPECT_EQ(testing::metric(folder.path(), "loss").size(), 6u);
}

TEST(Resumption, ANewRunDoesNotTakeAFolderWithCheckpoints) {
  const ScratchFolder folder;
  TinyRun run = run_of({SourceKind::kZero, {2, 1}});
  run.train(folder.path());
  const std::string message = testing::input_error_of([&] { run.train(folder.path()); });
  EXPECT_NE(message.find("step 6"), std::string::npos) << message;
}

TEST(Resumption, OnAnotherMeshContinuesTheSameComputation) {
  // Nothing in TBTT depends on how rows are spread over data ranks but the order of sums.
  const ScratchFolder whole;
  TinyRun run = run_of({SourceKind::kTbtt, {1, 1}, core::DType::kF64});
  run.train(whole.path());
  const std::vector<std::pair<dist::MeshShape, dist::MeshShape>> changes = {
      {{2, 1}, {1, 2}}, {{1, 1}, {2, 1}}, {{1, 3}, {2, 2}}};
  for (const auto& [before, after] : changes) {
    const ScratchFolder parts;
    run.mesh = before;
    run.resume = false;
    run.interrupt_at = 3;
    run.train(parts.path());
    run.mesh = after;
    run.resume = true;
    run.interrupt_at = 0;
    run.train(parts.path());
    const auto expected = testing::metric(whole.path(), "loss");
    const auto found = testing::metric(parts.path(), "loss");
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-10) << i;
  }
}

TEST(Resumption, WithOtherRowsStartsTheirStatesFromZero) {
  const ScratchFolder folder;
  TinyRun run = run_of({SourceKind::kTbtt, {1, 1}});
  run.interrupt_at = 2;
  run.train(folder.path());
  run.resume = true;
  run.interrupt_at = 0;
  run.config.batch.sequences = 8;
  EXPECT_EQ(run.train(folder.path()), Ending::kDone);
  EXPECT_EQ(testing::metric(folder.path(), "loss").size(), 6u);
}

TEST(Resumption, WithAnotherSourceNamesWhatIsMissing) {
  const ScratchFolder folder;
  TinyRun run = run_of({SourceKind::kZero, {2, 1}});
  run.interrupt_at = 2;
  run.train(folder.path());
  run.resume = true;
  run.config.initial_state.source = SourceKind::kFittedNoise;
  const std::string message = testing::input_error_of([&] { run.train(folder.path()); });
  EXPECT_NE(message.find("sources-0.safetensors: tensor moments"), std::string::npos) << message;
}

}  // namespace
}  // namespace longhaul::trainer
