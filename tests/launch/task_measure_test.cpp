// longhaul eval of kinds of task: what it takes from the run, what from its options, and what it
// says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "eval/tasks/task_result.h"
#include "tests/launch/program.h"

namespace longhaul::launch {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string model_and(const std::string& data) {
  return "model: {shape: {vocabulary: 264, width: 16, layers: 1, heads: 2, head_dim: 8, state_dim: "
         "8, chunk: 8}}\ndata: " +
         data + "\nschedule: {steps: 1, warmup: 1}\nparallel: {threads: 1}\nrun: {folder: run}\n";
}

class TaskMeasureOfProgram : public Program {
 protected:
  /// How the result says it was measured.
  std::map<std::string, std::string> measured(const std::string& arguments) {
    const Result result = run("eval " + arguments + " --json result.json");
    EXPECT_EQ(result.exit_code, 0) << arguments << "\n" << result.err;
    notices_ = result.err;
    const eval::TaskResult read = eval::read_task_result(folder_ / "result.json");
    std::filesystem::remove(folder_ / "result.json");
    return {read.measured.begin(), read.measured.end()};
  }
  std::string notices_;
};

class BabilongOfProgram : public TaskMeasureOfProgram {
 protected:
  void SetUp() override {
    Program::SetUp();
    for (const char* name : {"qa1_a_train", "qa1_a_test", "qa2_a_test", "qa1_other"}) {
      write(std::string(name) + ".txt",
            "1 Ann is in the " + std::string(name) + ".\n2 Where is Ann?\tbarn\t1\n");
    }
    std::string text;
    for (int i = 0; i < 400; ++i) text += "It rains. ";
    write("text.txt", text);
    ASSERT_EQ(run("tokenize --out tokens text.txt").exit_code, 0);
    write("run.yaml", model_and("{kind: babilong, folder: tokens, length: 900, sequences: 1, "
                                "babilong: {stories: qa1_a_train.txt, shots: 0, instruction: "
                                "false}}"));
    const Result trained = run("train run.yaml");
    ASSERT_EQ(trained.exit_code, 0) << trained.err;
  }
  const std::string ask_ = "babilong --model run/model --trials 1 --lengths 0 ";
};

TEST_F(BabilongOfProgram, SettingsAreTheRunsUnlessGivenAndAreToldInTheResult) {
  auto how = measured(ask_ + "--stories qa1_a_test.txt");
  EXPECT_EQ(how["--shots"], "0");
  EXPECT_EQ(how["--instruction"], "false");
  EXPECT_EQ(how["stories"], "qa1_a_test.txt");
  const std::string without = how["task qa1"];
  how = measured(ask_ + "--stories qa1_a_test.txt --instruction --shots 1");
  EXPECT_EQ(how["--shots"], "1");
  EXPECT_EQ(how["--instruction"], "true");
  EXPECT_NE(how["task qa1"], without);
  EXPECT_EQ(measured(ask_ + "--stories qa1_a_test.txt --no-instruction")["task qa1"], without);
  EXPECT_EQ(measured(ask_ + "--stories qa1_a_test.txt --instruction=false")["task qa1"], without);
}

TEST_F(BabilongOfProgram, StoriesMayBeSeveralFilesOfOneTaskEach) {
  const auto how = measured(ask_ + "--stories qa1_a_test.txt qa2_a_test.txt");
  EXPECT_TRUE(how.contains("task qa1") && how.contains("task qa2"));
  expect_refused("eval " + ask_ + "--stories qa1_a_test.txt qa1_other.txt",
                 "stories: qa1_other.txt and qa1_a_test.txt are both of qa1, expected one");
}

TEST_F(BabilongOfProgram, WhatWasTrainedOnIsTold) {
  auto how = measured(ask_);
  EXPECT_EQ(how["on the data it was trained on"], "yes");
  EXPECT_THAT(notices_, HasSubstr("run/model is asked what it was trained on (qa1_a_train.txt)"));
  how = measured(ask_ + "--stories ./qa1_a_train.txt");
  EXPECT_EQ(how["on the data it was trained on"], "yes");
  how = measured(ask_ + "--stories .");  // of a folder the test files
  EXPECT_FALSE(how.contains("on the data it was trained on"));
  EXPECT_THAT(notices_, Not(HasSubstr("trained on")));
}

TEST_F(TaskMeasureOfProgram, CopyCountsInLetters) {
  write("run.yaml", model_and("{kind: copy, length: 30, sequences: 1, copy: {letters: 9, shortest: "
                              "5, longest: 6}}"));
  ASSERT_EQ(run("train run.yaml").exit_code, 0);
  const auto how = measured("copy --model run --trials 1");
  EXPECT_EQ(how.at("--letters"), "9");
  EXPECT_EQ(how.at("lengths"), "5 8 11 14 17 20 23 26 ");  // 3 to 24 letters, and 2
  // What training rows hold decides nothing here.
  EXPECT_EQ(measured("copy --model run --trials 1 --longest 4").at("task "), how.at("task "));
  const auto trained_length = [&](const std::string& arguments) {
    EXPECT_EQ(run("eval copy --trials 1 --json result.json --model " + arguments).exit_code, 0);
    return eval::read_task_result(folder_ / "result.json").training_length;
  };
  EXPECT_EQ(trained_length("run"), 6);
  std::filesystem::remove(folder_ / "result.json");
  ASSERT_EQ(run("train run.yaml data.kind=passkey data.length=300 run.folder=other").exit_code, 0);
  EXPECT_EQ(trained_length("other --letters 9 --lengths 3"), 0);  // 300 are no letters
  std::filesystem::remove(folder_ / "result.json");
  expect_refused("eval copy --model run --lengths 3,0", "--lengths: must be at least 1, is 0");
  expect_refused("eval copy --model run --letters 1", "--letters: must be from 2 to 999999, is 1");
  expect_refused("eval passkey --model . --lengths 300 --depths 0,0", "--depths: 0 is given twice");
}

}  // namespace
}  // namespace longhaul::launch
