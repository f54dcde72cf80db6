// What `longhaul status` reads out of a run folder: folders written by hand, and a lock that is
// held.
#include "launch/run_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "dist/thread_communicator.h"
#include "kernels/core/error.h"
#include "launch/run_lock.h"
#include "launch/text_table.h"

namespace longhaul::launch {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RunStatusTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              ("longhaul_status_" + std::to_string(getpid()) +
               ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    write("run.yaml",
          "model: {shape: {width: 16}}\ndata: {kind: recall, length: 100, sequences: 4}\n"
          "schedule: {steps: 50, warmup: 1}\nrun: {folder: x}\n");
  }
  void TearDown() override { fs::remove_all(folder_); }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
  }
  /// Steps 1 to `count`; 400 tokens each, at `speed` tokens a second.
  void write_steps(int count, int speed, const std::string& after = "") const {
    std::string text;
    for (int step = 1; step <= count; ++step) {
      text += "{\"kind\":\"train\",\"step\":\"" + std::to_string(step) +
              "\",\"loss\":" + std::to_string(6 - step) +
              ",\"tokens_per_second\":" + std::to_string(speed) + "}\n";
    }
    write("metrics.jsonl", text + after);
  }
  void add_checkpoint(int step) const {
    write("checkpoints/step-" + std::to_string(step) + "/manifest.json", "{}");
  }

  fs::path folder_;
};

TEST_F(RunStatusTest, OfARunThatRuns) {
  write_steps(5, 200, "{\"kind\":\"train\",\"step\":\"6\",\"lo");  // the sixth is being written
  add_checkpoint(4);
  const auto world = dist::solo_communicator();
  const RunLock lock(folder_, *world, 0);
  const RunStatus status = read_run_status(folder_);
  EXPECT_EQ(status.state, RunState::kRunning);
  EXPECT_EQ(status.step, 5);
  EXPECT_EQ(status.steps, 50);
  EXPECT_EQ(status.loss, 1);
  EXPECT_EQ(status.tokens_per_second, 200);
  EXPECT_EQ(status.seconds_left, 90);  // 45 steps of 400 tokens at 200 a second
  EXPECT_EQ(status.checkpoint, 4);
  EXPECT_THAT(status.warnings, ElementsAre());
}

TEST_F(RunStatusTest, SpeedIsThatOfTheNewestSteps) {
  // 20 steps at 100 a second and 10 at 400: of the newest 20, ten take 4 s and ten 1 s.
  std::string text;
  for (int step = 1; step <= 30; ++step) {
    text += "{\"kind\":\"train\",\"step\":\"" + std::to_string(step) +
            "\",\"tokens_per_second\":" + (step <= 20 ? "100" : "400") + "}\n";
  }
  write("metrics.jsonl", text);
  EXPECT_DOUBLE_EQ(*read_run_status(folder_).tokens_per_second, 20 * 400 / 50.0);
  EXPECT_DOUBLE_EQ(*read_run_status(folder_).seconds_left, 20 * 2.5);
}

TEST_F(RunStatusTest, StoppedDoneAndNotBegun) {
  EXPECT_EQ(read_run_status(folder_).state, RunState::kWaiting);
  write_steps(7, 200);
  EXPECT_THAT(read_run_status(folder_).warnings, ElementsAre(HasSubstr("first checkpoint")));
  add_checkpoint(5);
  EXPECT_EQ(read_run_status(folder_).state, RunState::kStopped);
  EXPECT_THAT(read_run_status(folder_).warnings, ElementsAre(HasSubstr("2 steps since")));
  write_steps(50, 200);
  add_checkpoint(50);
  EXPECT_EQ(read_run_status(folder_).state, RunState::kStopped);  // the final model is not there
  write("model/config.json", "{}");
  EXPECT_EQ(read_run_status(folder_).state, RunState::kDone);
  EXPECT_EQ(read_run_status(folder_).seconds_left, std::nullopt);
}

TEST_F(RunStatusTest, SkippedStepsEventsAndLossesThatAreNotFinite) {
  write_steps(2, 200,
              "{\"kind\":\"train\",\"step\":\"3\",\"loss\":\"NaN\",\"skipped\":1}\n"
              "{\"kind\":\"event\",\"step\":\"3\",\"text\":\"step 3 was skipped\"}\n");
  add_checkpoint(3);
  EXPECT_THAT(read_run_status(folder_).warnings,
              ElementsAre("1 step was skipped (not finite)", HasSubstr("step 3 is nan"),
                          "step 3 was skipped"));
}

TEST_F(RunStatusTest, ARunningJobThatRecordsNothingIsCalledQuiet) {
  write_steps(5, 200);
  const auto world = dist::solo_communicator();
  const RunLock lock(folder_, *world, 0);
  const auto file = folder_ / "metrics.jsonl";
  fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(2));
  EXPECT_THAT(read_run_status(folder_).warnings, ElementsAre(HasSubstr("no step for 2:00:0")));
}

TEST_F(RunStatusTest, AnUnreadableEndOfTheMetricsIsAWarning) {
  write("metrics.jsonl", R"({"kind":"train","step":"4"})"
                         "\n" +
                             std::string(300, '\0') + "\n");
  const RunStatus status = read_run_status(folder_);
  EXPECT_EQ(status.step, 4);
  EXPECT_THAT(status.warnings, Contains(HasSubstr("metrics.jsonl:2")));
}

TEST_F(RunStatusTest, HostileFoldersAreNamed) {
  const auto refusal = [&](const fs::path& folder) {
    try {
      read_run_status(folder);
    } catch (const core::InputError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(refusal(folder_ / "nowhere"), HasSubstr("nowhere: holds no run.yaml"));
  write("metrics.jsonl", "{}\nnonsense\n{}\n");
  EXPECT_THAT(refusal(folder_), HasSubstr("metrics.jsonl:2"));
  write("run.yaml", "run: [1, 2]\n");
  EXPECT_THAT(refusal(folder_), HasSubstr("run.yaml:1: run"));
}

TEST(StatusTable, RowsAndWarningsOfSeveralRuns) {
  const RunStatus a{.name = "runs/a", .state = RunState::kDone, .step = 5, .steps = 5};
  const RunStatus b{.name = "b",
                    .state = RunState::kRunning,
                    .step = 12,
                    .steps = 500,
                    .loss = 1.25,
                    .evaluated = 2.5,
                    .tokens_per_second = 1234.4,
                    .seconds_left = 3725,
                    .checkpoint = 10,
                    .warnings = {"odd", "very odd"}};
  EXPECT_EQ(status_table({a, b}),
            "run       state    step    loss  at end  tokens/s     left  checkpoint  warnings\n"
            "runs/a     done     5/5       -       -         -        -        none         -\n"
            "b       running  12/500  1.2500  2.5000      1234  1:02:05     step 10         2\n"
            "b: odd\nb: very odd\n");
}

TEST(TextTable, CountsCharactersNotBytes) {
  TextTable table({"é", "b"});
  table.add({"ab", "→"});
  EXPECT_EQ(table.text(), "é   b\nab  →\n");
}

TEST(DurationText, HoursAndDays) {
  EXPECT_EQ(duration_text(0), "0:00:00");
  EXPECT_EQ(duration_text(59.6), "0:01:00");
  EXPECT_EQ(duration_text(86400 + 3661), "1d 1:01:01");
}

}  // namespace
}  // namespace longhaul::launch
