// Checkpoints that are written while training goes on.
#include "trainer/checkpoint_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "dist/thread_communicator.h"
#include "kernels/core/error.h"
#include "model/init.h"
#include "tests/model/full_disk.h"
#include "tests/model/scratch_folder.h"
#include "tests/support/compare.h"
#include "tests/support/random_tensor.h"
#include "tests/trainer/source_fixture.h"
#include "tests/trainer/tiny_run.h"
#include "trainer/checkpoint_files.h"

namespace longhaul::trainer {
namespace {

namespace fs = std::filesystem;
using testing::content_of;
using ::testing::HasSubstr;
using testing::names_in;
using testing::ScratchFolder;
using testing::TinyRun;

/// The state of a run of one rank, in double.
struct OneRank {
  core::Context context{{}, 1};
  std::unique_ptr<dist::Communicator> world = dist::solo_communicator();
  dist::Mesh mesh{*world, {1, 1}};
  model::LanguageModel model{context, testing::tiny_run_model(), core::DType::kF64};
  Optimizer optimizer{context, model.parameters(), {}};
  SourceFixture source{{.source = SourceKind::kStatePassing}, 2};
  testing::StreamSource batches{2, 12, 0};
  TrainingState state{.model = model,
                      .optimizer = optimizer,
                      .source = *source.source,
                      .batches = batches,
                      .step = 7};

  OneRank() {
    model::initialize(model, 3);
    source.source->keep({.micro_step = 0, .first_sequence = 0, .fresh = nullptr},
                        source.labelled_state());
  }
  void spoil_parameters() {
    core::set_zero(context, model.parameters().values());
    for (const Optimizer::Part& part : optimizer.parts()) {
      core::copy(context, model.parameters().values(), part.first_moment);
    }
  }
};

TEST(CheckpointWriter, WhatChangesAfterTheCopyIsNotWritten) {
  const ScratchFolder before, after;
  OneRank run;
  core::copy(run.context, run.model.parameters().values(), run.optimizer.parts()[0].first_moment);
  save_training_checkpoint(before.path(), run.mesh, run.state, {.background = false});

  CheckpointWriter writer(after.path(), run.mesh, {.background = true});
  writer.begin(run.state);
  // The next forward may change the source at once; the update waits.
  run.source.source->keep({.micro_step = 1, .first_sequence = 0, .fresh = nullptr},
                          run.source.random_state(9));
  writer.wait_for_copy();
  run.spoil_parameters();
  EXPECT_TRUE(writer.is_begun());
  writer.finish();
  EXPECT_FALSE(writer.is_begun());

  const auto names = names_in(before / "checkpoints/step-7");
  EXPECT_EQ(names_in(after / "checkpoints/step-7"), names);
  for (const std::string& name : names) {
    EXPECT_EQ(content_of(after / ("checkpoints/step-7/" + name)),
              content_of(before / ("checkpoints/step-7/" + name)))
        << name;
  }
}

TEST(CheckpointWriter, WhatWasNotFinishedIsNoCheckpoint) {
  const ScratchFolder folder;
  OneRank run;
  {
    CheckpointWriter writer(folder.path(), run.mesh, {});
    writer.begin(run.state);
  }
  EXPECT_EQ(newest_checkpoint(folder.path()), std::nullopt);
  EXPECT_EQ(names_in(folder / "checkpoints"), std::set<std::string>{});
}

TEST(CheckpointWriter, AFullDiskInTheBackgroundIsToldAtTheNextCheckpoint) {
  const ScratchFolder folder;
  std::unique_ptr<testing::FullDisk> full;
  TinyRun run;
  run.mesh = {2, 1};
  run.config.checkpoint.every = 2;
  run.config.schedule.steps = 9;
  run.before_step = [&](int rank, int64_t step, model::LanguageModel&) {
    if (rank == 0 && step == 1) full = std::make_unique<testing::FullDisk>(3000);
  };
  const std::string message = testing::error_of([&] { run.train(folder.path()); });
  full.reset();
  EXPECT_THAT(message, HasSubstr("optimizer-0.safetensors: cannot be written"));
  EXPECT_EQ(names_in(folder / "checkpoints"), std::set<std::string>{});
}

TEST(CheckpointWriter, TheBackgroundWritesWhatWasThereWhenItBegan) {
  // As every checkpoint of a run that waits for each.
  const ScratchFolder waiting, going_on;
  TinyRun run;
  run.mesh = {2, 2};
  run.config.initial_state.source = SourceKind::kStatePassing;
  run.config.checkpoint = {.every = 1, .keep = 9, .background = false};
  EXPECT_EQ(run.train(waiting.path()), Ending::kDone);
  run.config.checkpoint.background = true;
  EXPECT_EQ(run.train(going_on.path()), Ending::kDone);
  for (int step = 1; step <= 5; ++step) {
    const std::string name = core::message("checkpoints/step-", step);
    ASSERT_EQ(names_in(going_on / name), names_in(waiting / name));
    for (const std::string& file : names_in(waiting / name)) {
      EXPECT_EQ(content_of(going_on / (name + "/" + file)),
                content_of(waiting / (name + "/" + file)))
          << name << "/" << file;
    }
  }
}

TEST(CheckpointWriter, KeepsMilestonesAndTheBest) {
  const ScratchFolder folder;
  TinyRun run;
  run.config.schedule.steps = 9;
  run.config.evaluate_every = 1;
  run.config.checkpoint = {.every = 1, .keep = 1, .keep_every = 4, .keep_best = 2};
  // The best: steps 3 and 6.
  run.evaluate = [](int64_t step) -> std::vector<std::pair<std::string, double>> {
    return {{"loss", step % 3 == 0 ? 10.0 - static_cast<double>(step % 9) : 90.0},
            {"accuracy", static_cast<double>(step == 5)}};
  };
  run.train(folder.path());
  EXPECT_EQ(names_in(folder / "checkpoints"),
            (std::set<std::string>{"step-3", "step-4", "step-6", "step-8", "step-9"}));
  const ScratchFolder other;
  run.config.checkpoint = {.every = 1, .keep = 1, .keep_best = 1, .best = Measure::kAccuracy};
  run.train(other.path());
  EXPECT_EQ(names_in(other / "checkpoints"), (std::set<std::string>{"step-5", "step-9"}));
}

TEST(CheckpointWriter, KeepsTheBestWhoseEvaluationWasInterrupted) {
  const ScratchFolder folder;
  TinyRun run;
  run.config.schedule.steps = 9;
  run.config.evaluate_every = 3;
  run.config.checkpoint = {.every = 1, .keep = 1, .keep_best = 1};
  const auto evaluate = [](int64_t step) -> std::optional<Numbers> {
    return Numbers{{"loss", static_cast<double>(step)}};  // the earliest is the best
  };
  run.evaluate = [&](int64_t step) { return step == 3 ? std::nullopt : evaluate(step); };
  ASSERT_EQ(run.train(folder.path()), Ending::kInterrupted);
  run.evaluate = evaluate;
  run.resume = true;
  ASSERT_EQ(run.train(folder.path()), Ending::kDone);
  EXPECT_EQ(names_in(folder / "checkpoints"), (std::set<std::string>{"step-3", "step-9"}));
  EXPECT_EQ(read_manifest(folder / "checkpoints/step-3").evaluation, (Numbers{{"loss", 3.0}}));
}

}  // namespace
}  // namespace longhaul::trainer
