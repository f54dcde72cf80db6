// Checkpoints that cannot be seen, are gone, or come from elsewhere.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/model/full_disk.h"
#include "tests/model/scratch_folder.h"
#include "tests/trainer/tiny_run.h"
#include "trainer/training_checkpoint.h"

namespace longhaul::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using testing::content_of;
using testing::error_of;
using ::testing::HasSubstr;
using testing::input_error_of;
using testing::names_in;
using testing::ScratchFolder;
using testing::TinyRun;

/// To be resumed from step 2.
TinyRun interrupted_run(const fs::path& folder) {
  TinyRun run;
  run.mesh = {2, 1};
  run.interrupt_at = 2;
  EXPECT_EQ(run.train(folder), Ending::kInterrupted);
  run.interrupt_at = 0;
  run.resume = true;
  return run;
}

TEST(LostCheckpoints, WhatCannotBeReadDoesNotCountAsNone) {
  const ScratchFolder folder;
  const TinyRun run = interrupted_run(folder.path());
  const fs::path checkpoints = folder / "checkpoints";
  const std::string metrics = content_of(folder / "metrics.jsonl");
  fs::rename(checkpoints, folder / "elsewhere");
  for (const char* target :
       {"not mounted", "checkpoints", "metrics.jsonl"}) {  // the second: a loop
    fs::create_symlink(target, checkpoints);
    EXPECT_THAT(error_of([&] { run.train(folder.path()); }),
                HasSubstr("/checkpoints: cannot be read: "))
        << target;
    EXPECT_EQ(content_of(folder / "metrics.jsonl"), metrics);
    fs::remove(checkpoints);
  }
  fs::create_symlink("elsewhere", checkpoints);
  EXPECT_EQ(run.train(folder.path()), Ending::kDone);
}

TEST(LostCheckpoints, AManifestThatCannotBeReadDoesNotCountAsNone) {
  const ScratchFolder folder;
  const TinyRun run = interrupted_run(folder.path());
  fs::create_directory(folder / "checkpoints/step-3");
  fs::create_symlink("manifest.json", folder / "checkpoints/step-3/manifest.json");
  EXPECT_THAT(error_of([&] { run.train(folder.path()); }),
              HasSubstr("step-3/manifest.json: cannot be read: "));
}

TEST(LostCheckpoints, WhereTheyAreGoneResumptionIsRefusedAndANewRunIsNot) {
  for (const bool with_folder : {false, true}) {
    const ScratchFolder folder;
    TinyRun run = interrupted_run(folder.path());
    const std::string metrics = content_of(folder / "metrics.jsonl");
    fs::remove_all(folder / "checkpoints");
    if (with_folder) fs::create_directory(folder / "checkpoints");
    EXPECT_THAT(input_error_of([&] { run.train(folder.path()); }),
                AllOf(HasSubstr("/checkpoints: holds no checkpoint, expected that of step 2"),
                      HasSubstr("without --resume")));
    EXPECT_EQ(content_of(folder / "metrics.jsonl"), metrics);
    run.resume = false;
    run.before_step = [](int, int64_t step, model::LanguageModel&) {
      if (step == 2) throw core::Error("killed");
    };
    EXPECT_EQ(error_of([&] { run.train(folder.path()); }), "killed");
    EXPECT_EQ(content_of(folder / "metrics-earlier-1.jsonl"), metrics);
    run.resume = true;  // the new run has not saved: nothing is lost
    run.before_step = nullptr;
    EXPECT_EQ(run.train(folder.path()), Ending::kDone);
  }
}

TEST(LostCheckpoints, ARunThatWasKilledBeforeItSavedBeginsAnew) {
  const ScratchFolder folder;
  TinyRun run;
  run.resume = true;
  run.before_step = [](int, int64_t step, model::LanguageModel&) {
    if (step == 3) throw core::Error("killed");
  };
  EXPECT_EQ(error_of([&] { run.train(folder.path()); }), "killed");
  const std::string metrics = content_of(folder / "metrics.jsonl");
  run.before_step = nullptr;
  EXPECT_EQ(run.train(folder.path()), Ending::kDone);
  EXPECT_EQ(content_of(folder / "metrics-earlier-1.jsonl"), metrics);
}

TEST(LostCheckpoints, AnOlderOneIsGoneOnFromWithAWarning) {
  const ScratchFolder folder;
  TinyRun run = interrupted_run(folder.path());
  run.train(folder.path());
  fs::remove_all(folder / "checkpoints/step-5");
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(run.train(folder.path()), Ending::kDone);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr("holds checkpoints up to step 2, expected that of step 5"));
}

TEST(LostCheckpoints, ThoseOfLaterStepsDoNotPushOutTheRunsOwn) {
  const ScratchFolder folder;
  TinyRun run;
  run.config.checkpoint = {.every = 1, .keep = 2, .background = false};
  run.before_step = [&](int, int64_t step, model::LanguageModel&) {
    if (step != 3) return;
    for (const char* foreign : {"step-50", "step-60"}) {
      fs::copy(folder / "checkpoints/step-2", folder / ("checkpoints/" + std::string(foreign)));
    }
  };
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(run.train(folder.path()), Ending::kDone);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr("holds checkpoints up to step 60, which this run, at step 3"));
  EXPECT_EQ(names_in(folder / "checkpoints"),
            (std::set<std::string>{"step-4", "step-5", "step-50", "step-60"}));
}

}  // namespace
}  // namespace longhaul::trainer
