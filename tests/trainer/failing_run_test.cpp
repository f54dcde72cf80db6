// What is left of runs whose data, disk or last steps fail.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <vector>

#include "tests/model/full_disk.h"
#include "tests/model/scratch_folder.h"
#include "tests/support/random_tensor.h"
#include "tests/trainer/tiny_run.h"
#include "trainer/training_checkpoint.h"

namespace longhaul::trainer {
namespace {

using ::testing::HasSubstr;
using testing::metric;
using testing::ScratchFolder;
using testing::TinyRun;

TinyRun run_of_two() {
  TinyRun run;
  run.mesh = {2, 1};
  run.config.initial_state.source = SourceKind::kStatePassing;
  run.config.batch.accumulation = 2;
  return run;
}

TEST(FailingRun, WhatIsDoneIsSavedWhereTheDataCannotBeRead) {
  const ScratchFolder whole, folder;
  TinyRun run = run_of_two();
  run.train(whole.path());
  int read = 0;
  bool as_input = true;
  run.on_batch = [&](int data_rank, const data::Batch&) {
    if (data_rank != 1 || ++read != 6) return;  // the second of step 3
    if (as_input) throw core::InputError("tok.npy: token 7 is 999");
    throw core::Error("tok.npy: cannot be read");
  };
  EXPECT_EQ(testing::input_error_of([&] { run.train(folder.path()); }), "tok.npy: token 7 is 999");
  EXPECT_EQ(all_checkpoints(folder.path()), (std::vector<int64_t>{2}));

  // Again at the first step of a resumed run, and by what was no InputError: nothing is to be
  // saved.
  run.resume = true;
  read = 4;
  as_input = false;
  EXPECT_THAT(testing::error_of([&] { run.train(folder.path()); }), HasSubstr("cannot be read"));
  EXPECT_EQ(all_checkpoints(folder.path()), (std::vector<int64_t>{2}));

  run.on_batch = nullptr;
  EXPECT_EQ(run.train(folder.path()), Ending::kDone);
  EXPECT_EQ(testing::timeless_metrics(folder.path()), testing::timeless_metrics(whole.path()));
  for (const std::string& file : testing::names_in(whole / "checkpoints/step-5")) {
    EXPECT_EQ(testing::content_of(folder / ("checkpoints/step-5/" + file)),
              testing::content_of(whole / ("checkpoints/step-5/" + file)))
        << file;
  }
}

TEST(FailingRun, ANewOneWhoseDataCannotBeReadSavesNothing) {
  const ScratchFolder folder;
  TinyRun run = run_of_two();
  run.on_batch = [&](int, const data::Batch&) { throw core::InputError("bad"); };
  EXPECT_EQ(testing::input_error_of([&] { run.train(folder.path()); }), "bad");
  EXPECT_EQ(all_checkpoints(folder.path()), (std::vector<int64_t>{}));
}

TEST(FailingRun, AFullDiskForAFewStepsIsSurvived) {
  const ScratchFolder whole, folder;
  std::unique_ptr<testing::FullDisk> full;
  TinyRun run = run_of_two();
  run.config.checkpoint = {.every = 2, .background = false};
  run.train(whole.path());
  run.before_step = [&](int rank, int64_t step, model::LanguageModel&) {
    if (rank != 0) return;
    if (step == 2) full = std::make_unique<testing::FullDisk>(0);
    if (step == 4) full.reset();
  };
  EXPECT_EQ(run.train(folder.path()), Ending::kDone);
  EXPECT_EQ(all_checkpoints(folder.path()), (std::vector<int64_t>{4, 5}));
  EXPECT_EQ(metric(folder.path(), "loss"), metric(whole.path(), "loss"));
}

/// Makes every step from `first` on fail.
auto spoil_from(int64_t first) {
  return [first](int, int64_t step, model::LanguageModel& model) {
    if (step < first) return;
    const core::TensorView view = model.parameters().value(model.parameters().list().front());
    testing::assign(view.slice(0, 1, 2),
                    std::vector<double>(6, std::numeric_limits<double>::infinity()));
  };
}

TEST(FailingRun, AnInterruptionAmongSkippedStepsKeepsTheSoundCheckpoint) {
  const ScratchFolder folder;
  TinyRun run;
  run.config.schedule.steps = 9;
  run.config.optimizer.skips_in_row = 9;
  run.config.checkpoint = {.every = 1, .keep = 1, .background = false};
  run.before_step = spoil_from(3);
  run.config.stop_at = 4;
  EXPECT_EQ(run.train(folder.path()), Ending::kInterrupted);
  EXPECT_EQ(all_checkpoints(folder.path()), (std::vector<int64_t>{2, 4}));
  run.resume = true;
  run.config.stop_at = 6;
  EXPECT_EQ(run.train(folder.path()), Ending::kInterrupted);
  EXPECT_EQ(all_checkpoints(folder.path()), (std::vector<int64_t>{2, 4, 6}));
}

TEST(FailingRun, OneThatEndsAmongSkippedStepsSaysSo) {
  const ScratchFolder folder;
  TinyRun run;
  run.config.optimizer.skips_in_row = 9;
  run.before_step = spoil_from(4);
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(run.train(folder.path()), Ending::kDone);
  const char* said = "the run ends with 2 skipped steps in a row: the model is the one that step 3";
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr(said));
  EXPECT_THAT(read_metrics(folder / "metrics.jsonl").back().text, HasSubstr(said));
}

}  // namespace
}  // namespace longhaul::trainer
