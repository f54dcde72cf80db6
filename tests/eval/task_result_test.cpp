#include "eval/tasks/task_result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "kernels/core/error.h"
#include "tests/eval/scratch_folder.h"

namespace longhaul::eval {
namespace {

using ::testing::HasSubstr;

TEST(TaskResult, WilsonIntervalHasTheValuesOfTheTables) {
  // 10 of 20; 0 of 10; 10 of 10 (Brown, Cai, DasGupta 2001: z² / (n + z²) at the ends).
  const Interval half = wilson_interval(0.5, 20);
  EXPECT_NEAR(half.low, 0.2993, 5e-5);
  EXPECT_NEAR(half.high, 0.7007, 5e-5);
  EXPECT_NEAR(wilson_interval(0, 10).high, 0.2775, 5e-5);
  EXPECT_NEAR(wilson_interval(0, 10).low, 0, 1e-12);
  EXPECT_NEAR(wilson_interval(1, 10).low, 0.7225, 5e-5);
  EXPECT_EQ(wilson_interval(0, 0).low, 0);
  EXPECT_EQ(wilson_interval(0, 0).high, 1);
  // It solves |share − p| = z √(p (1 − p) / n).
  for (const double share : {0.1, 0.37, 0.9}) {
    const Interval interval = wilson_interval(share, 43);
    for (const double p : {interval.low, interval.high})
      EXPECT_NEAR(std::abs(share - p), 1.959963985 * std::sqrt(p * (1 - p) / 43), 1e-9);
  }
}

TEST(TaskResult, CellsAreMeansOfScores) {
  const TaskCell cell =
      cell_of({.part = "qa1", .length = 8}, std::vector<double>{1, 0, 1, 1}, false);
  EXPECT_EQ(cell.trials, 4);
  EXPECT_DOUBLE_EQ(cell.accuracy, 0.75);
  EXPECT_DOUBLE_EQ(cell.exact, 0.75);
  EXPECT_DOUBLE_EQ(cell.low, wilson_interval(0.75, 4).low);
  std::vector<double> scores;
  for (int i = 0; i < 8; ++i) scores.insert(scores.end(), {1, 0.1, 0.1});
  const TaskCell graded = cell_of({}, scores, true);
  EXPECT_NEAR(graded.accuracy, 0.4, 1e-12);
  EXPECT_NEAR(graded.exact, 1.0 / 3, 1e-12);
  const double error = std::sqrt(8 * (0.36 + 0.09 + 0.09) / 23 / 24);
  EXPECT_NEAR(graded.low, 0.4 - 1.959963985 * error, 1e-9);
  EXPECT_NEAR(graded.high, 0.4 + 1.959963985 * error, 1e-9);
  EXPECT_EQ(cell_of({}, {}, false).trials, 0);
  // All right is 1, not a little more.
  for (size_t n = 1; n < 200; ++n) {
    const TaskCell right = cell_of({}, std::vector<double>(n, 1), true);
    EXPECT_EQ(right.accuracy, 1);
    EXPECT_EQ(right.exact, 1);
    EXPECT_LE(right.high, 1);
  }
}

TEST(TaskResult, ScoresThatAgreeStillHaveAnInterval) {
  const auto graded = [](int n, double score) {
    return cell_of({}, std::vector<double>(static_cast<size_t>(n), score), true);
  };
  // At the ends it is Wilson's, between them as wide.
  EXPECT_EQ(graded(5, 0).low, 0);
  EXPECT_NEAR(graded(5, 0).high, wilson_interval(0, 5).high, 1e-12);
  EXPECT_NEAR(graded(5, 1).low, wilson_interval(1, 5).low, 1e-12);
  EXPECT_NEAR(graded(5, 1).high, 1, 1e-12);
  EXPECT_NEAR(graded(5, 0.5).low + graded(5, 0.5).high, 1, 1e-12);
  EXPECT_NEAR(graded(5, 0.5).high - graded(5, 0.5).low, wilson_interval(0, 5).high, 1e-12);
  // A score that hardly differs does not narrow it.
  const TaskCell almost = cell_of({}, std::vector<double>{0, 0, 0, 0, 0.01}, true);
  EXPECT_GE(almost.high, wilson_interval(0, 5).high);
}

TaskResult some_result() {
  return {.task = "passkey",
          .model = "runs/a/model",
          .training_length = 2048,
          .seed = 18446744073709551615u,
          .measured = {{"task ", "3"}, {"trials", "40"}},
          .cells = {{.length = 4096,
                     .trials = 40,
                     .accuracy = 0.5,
                     .exact = 0.5,
                     .low = 0.35,
                     .high = 0.65,
                     .scores = std::vector<double>(40, 0.5)},
                    {.length = 4096,
                     .depth_low = 0.25,
                     .depth_high = 0.25,
                     .trials = 20,
                     .accuracy = 0.75,
                     .exact = 0.75,
                     .low = 0.5,
                     .high = 0.9}}};
}

TEST(TaskResult, IsTheSameAfterAFile) {
  const testing::ScratchFolder scratch;
  const auto file = scratch.path() / "passkey.json";
  const TaskResult written = some_result();
  write_task_result(file, written);
  const TaskResult read = read_task_result(file);
  EXPECT_EQ(read.task, written.task);
  EXPECT_EQ(read.model, written.model);
  EXPECT_EQ(read.training_length, 2048);
  EXPECT_EQ(read.seed, written.seed);
  EXPECT_EQ(read.measured, written.measured);
  ASSERT_EQ(read.cells.size(), 2u);
  EXPECT_TRUE(read.cells[0].all_depths());
  EXPECT_FALSE(read.cells[1].all_depths());
  EXPECT_EQ(read.cells[1].depth(), 0.25);
  EXPECT_EQ(read.cells[1].accuracy, 0.75);
  EXPECT_EQ(read.cells[1].high, 0.9);
  EXPECT_EQ(read.cells[0].trials, 40);
  EXPECT_EQ(read.cells[0].scores, written.cells[0].scores);
  EXPECT_TRUE(read.cells[1].scores.empty());  // as in older files
}

TEST(TaskResult, CellsWithoutTrialsHaveNoNumbers) {
  const testing::ScratchFolder scratch;
  const auto file = scratch.path() / "a.json";
  TaskResult result = some_result();
  result.cells = {{.length = 8}};
  write_task_result(file, result);
  for (const char* name : {"accuracy", "exact", "low\"", "\"high"}) {
    const std::string text = testing::read_all(file);
    EXPECT_THAT(text, ::testing::Not(HasSubstr(std::string("\"") + name + "\":"))) << text;
  }
  const TaskResult read = read_task_result(file);
  EXPECT_EQ(read.cells[0].trials, 0);
  EXPECT_EQ(read.cells[0].high, 1);
}

TEST(TaskResult, SaysWhereQuestionsAreFewerThanTrialsAskedFor) {
  TaskResult result = some_result();
  result.trials_asked = 40;
  EXPECT_THAT(shortages(result), ::testing::IsEmpty());
  result.trials_asked = 100;
  result.cells[0].part = "qa1";
  EXPECT_THAT(format_table(result),
              HasSubstr("qa1: 100 trials were asked for: only 40 questions are different "
                        "(of length 4096)\n"));
}

TEST(TaskResult, RefusesFilesThatAreNone) {
  const testing::ScratchFolder scratch;
  const auto file = scratch.path() / "a.json";
  const auto problem = [&](const std::string& text) -> std::string {
    std::ofstream(file) << text;
    try {
      read_task_result(file);
    } catch (const core::InputError& error) {
      return error.what();
    }
    return "";
  };
  const std::string begin = R"({"format_version": 1, "task": "copy", "cells": )";
  EXPECT_THAT(problem("{"), HasSubstr("a.json: not an evaluation"));
  EXPECT_THAT(problem(R"({"format_version": 7})"), HasSubstr("format_version is 7"));
  EXPECT_THAT(problem(R"({"format_version": 1, "task": "text"})"), HasSubstr("task is 'text'"));
  EXPECT_THAT(problem(begin + "[]}"), HasSubstr("has no cells"));
  EXPECT_THAT(problem(begin + R"([{"accuracy": 1.5}]})"), HasSubstr("cell 0 holds a share"));
  EXPECT_THAT(problem(begin + R"([{"accuracy": "NaN"}]})"), HasSubstr("cell 0 holds a share"));
  EXPECT_THAT(problem(begin + R"([{"length": -1}]})"), HasSubstr("cell 0 has length -1"));
  EXPECT_EQ(problem(begin + R"([{"length": 5, "depth_high": 1, "later": 3}]})"), "");
}

TEST(TaskResult, TableShowsDepthsBesideEachLength) {
  const std::string table = format_table(some_result());
  EXPECT_THAT(table, HasSubstr("95 % interval; by depth\n"));
  EXPECT_THAT(table, HasSubstr("0.25"));
  EXPECT_THAT(table, HasSubstr("50.0"));
  EXPECT_THAT(table, HasSubstr("35.0 to 65.0"));
  EXPECT_THAT(table, HasSubstr("75.0\n"));
  TaskResult copy = some_result();  // has no depths
  copy.cells.pop_back();
  EXPECT_THAT(format_table(copy), ::testing::Not(HasSubstr("depth")));
}

}  // namespace
}  // namespace longhaul::eval
