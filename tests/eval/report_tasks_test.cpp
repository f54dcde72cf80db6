// Tasks with answers in the report.
#include "eval/report_tasks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <regex>
#include <sstream>

#include "eval/report.h"
#include "tests/eval/scratch_folder.h"

namespace longhaul::eval {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// Two lengths, depths 0 and 1; right as often as said at the longer one.
TaskResult passkey(double accuracy) {
  TaskResult result{.task = "passkey", .model = "m", .training_length = 512, .cells = {}};
  for (const int64_t length : {512, 2048}) {
    const double share = length == 512 ? 1 : accuracy;
    const auto add = [&](double low, double high, int64_t trials) {
      const Interval interval = wilson_interval(share, trials);
      result.cells.push_back({.length = length,
                              .depth_low = low,
                              .depth_high = high,
                              .trials = trials,
                              .accuracy = share,
                              .exact = share,
                              .low = interval.low,
                              .high = interval.high});
    };
    add(0, 1, 200);
    add(0, 0, 100);
    add(1, 1, 100);
  }
  return result;
}

TEST(TaskFindings, SayWhoAnswersBestBeyondTheIntervals) {
  const TaskResult good = passkey(0.9), bad = passkey(0.25), near = passkey(0.88);
  const auto clear = task_findings({.name = "", .arms = {&bad, nullptr, &good}}, {"a", "b", "c"});
  ASSERT_EQ(clear.size(), 3u);
  EXPECT_EQ(clear[0],
            "at 2k, c answers best (90 %), a worst (25 %); not told apart at 512: one run each, "
            "by their 95 % intervals, which overlap.");
  EXPECT_EQ(clear[1], "a: 100 % at 512, 25 % at 2k.");
  const auto alike = task_findings({.name = "", .arms = {&near, &good}}, {"a", "b"});
  EXPECT_EQ(alike[0],
            "not told apart at 512 and 2k: one run each, by their 95 % intervals, which overlap.");
  EXPECT_EQ(task_findings({.name = "", .arms = {&good}}, {"a"})[0], "share of right answers.");
}

/// At the longest length nobody answers: what is told apart before it must not be hidden by that.
TEST(TaskFindings, JudgeEveryLengthAndCallNoNoiseAlike) {
  const auto arm = [](std::vector<double> at_1k, double at_2k) {
    TaskResult mean{.task = "passkey", .cells = {}};
    for (const double share : at_1k) {
      TaskResult seed{.task = "passkey", .cells = {}};
      for (const auto& [length, accuracy] : {std::pair{1024, share}, {2048, at_2k}}) {
        seed.cells.push_back(
            {.length = length, .trials = 100, .accuracy = accuracy, .exact = accuracy});
      }
      mean.of_seeds.push_back({"seed-" + std::to_string(mean.of_seeds.size()), seed});
      mean.cells = seed.cells;
    }
    return mean;
  };
  const TaskResult good = arm({0.9, 0.92, 0.91}, 0.01), bad = arm({0.3, 0.33, 0.3}, 0.01),
                   noisy = arm({0.01, 0.85}, 0.01), two = arm({0.01, 0.03}, 0.01);
  EXPECT_THAT(
      task_findings({.name = "", .arms = {&good, &bad}}, {"a", "b"})[0],
      HasSubstr("at 1k, a answers best (91 %), b worst (31 %); not told apart at 2k: 3 seeds, by "
                "what seeds differ by"));
  EXPECT_THAT(task_findings({.name = "", .arms = {&noisy, &two}}, {"a", "b"})[0],
              HasSubstr("not told apart at 1k and 2k: 2 seeds, by"));
  EXPECT_THAT(task_findings({.name = "", .arms = {&good, &noisy}}, {"a", "b"})[0],
              HasSubstr(": 2 to 3 seeds, by"));
}

TEST(TaskHtml, ShowsCurveTableAndHeatMap) {
  const TaskResult good = passkey(0.9), bad = passkey(0.25);
  const std::string html = task_html({.name = "", .arms = {&bad, &good}}, Figures({"<a>", "b"}), 0);
  EXPECT_THAT(html, HasSubstr("Passkey retrieval"));
  EXPECT_THAT(html, HasSubstr("Right answers by length"));
  EXPECT_THAT(html, HasSubstr("90.0 <small>(85 to 93)</small>"));
  EXPECT_THAT(html, HasSubstr("background: var(--heat-9); color: #000\" title=\"100 trials"));
  EXPECT_THAT(html, HasSubstr("background: var(--heat-2); color: #fff"));
  EXPECT_THAT(html, HasSubstr("&lt;a&gt;"));
  EXPECT_THAT(html, Not(HasSubstr("<a>")));
}

TEST(TaskHtml, PartsArePooledByTheirTrials) {
  TaskResult result{.task = "babilong", .cells = {}};
  result.cells.push_back({.part = "qa1", .length = 0, .trials = 30, .accuracy = 1, .exact = 1});
  result.cells.push_back({.part = "qa2", .length = 0, .trials = 10, .accuracy = 0, .exact = 0});
  const TaskCell pooled = pooled_cell(result, 0, 0, 1);
  EXPECT_EQ(pooled.trials, 40);
  EXPECT_DOUBLE_EQ(pooled.accuracy, 0.75);
  EXPECT_DOUBLE_EQ(pooled.low, wilson_interval(0.75, 40).low);
  EXPECT_EQ(pooled_cell(result, 7, 0, 1).trials, 0);
  const std::string html = task_html({.name = "", .arms = {&result}}, Figures({"a"}), 0);
  EXPECT_THAT(html, HasSubstr("no text"));
}

TEST(TaskHtml, OfSeedsPartsArePooledInEachBeforeTheSpread) {
  const auto seed = [](double easy, double hard) {
    TaskResult result{.task = "babilong", .cells = {}};
    for (const auto& [part, share] : {std::pair{"qa1", easy}, {"qa2", hard}}) {
      result.cells.push_back(
          {.part = part, .length = 512, .trials = 50, .accuracy = share, .exact = share});
    }
    return result;
  };
  TaskResult mean{.task = "babilong", .cells = {}};
  mean.of_seeds = {{"seed-1", seed(1, 0)}, {"seed-2", seed(0.9, 0.3)}, {"seed-3", seed(0.8, 0.6)}};
  mean.cells = {{.part = "qa1", .length = 512}, {.part = "qa2", .length = 512}};
  const TaskCell pooled = pooled_cell(mean, 512, 0, 1);  // 0.5, 0.6 and 0.7
  EXPECT_DOUBLE_EQ(pooled.accuracy, 0.6);
  EXPECT_NEAR(pooled.low, 0.5, 1e-12);
  EXPECT_NEAR(pooled.high, 0.7, 1e-12);
  EXPECT_EQ(pooled.trials, 300);
  const std::string part = "qa1";
  EXPECT_NEAR(pooled_cell(mean, 512, 0, 1, &part).low, 0.8, 1e-12);
  const std::string html = task_html({.name = "", .arms = {&mean}}, Figures({"a"}), 0);
  EXPECT_THAT(html, HasSubstr("60.0 <small>(50 to 70)</small>"));
  EXPECT_THAT(html, HasSubstr("Accuracy in %, with its standard deviation over seeds"));
}

/// Wilson's interval of 100 % lies beneath it alone.
TEST(TaskHtml, BandsHaveTheirOwnSides) {
  const TaskResult right = passkey(1);
  const std::string html = task_html({.name = "", .arms = {&right}}, Figures({"a"}), 0);
  const std::regex polygon("<polygon[^>]*points *= *'([^']*)'"),
      line("stroke='var\\(--arm-0\\)'[^>]*d='M[0-9.]+,([0-9.]+)");
  std::smatch band, first;
  ASSERT_TRUE(std::regex_search(html, band, polygon));
  ASSERT_TRUE(std::regex_search(html, first, line));
  const double drawn = std::stod(first[1]);
  std::istringstream corners(band[1]);
  double highest = 1e9, lowest = 0, x = 0, y = 0;  // pixels count from above
  for (char comma = 0; corners >> x >> comma >> y;) {
    highest = std::min(highest, y);
    lowest = std::max(lowest, y);
  }
  EXPECT_DOUBLE_EQ(highest, drawn);
  EXPECT_GT(lowest, drawn + 1);
}

TEST(TaskSectionsOfRuns, AreReadFromTheirFiles) {
  const testing::ScratchFolder scratch;
  std::vector<std::filesystem::path> runs;
  for (const char* name : {"one", "two"}) {
    runs.push_back(scratch.path() / name);
    std::filesystem::create_directories(runs.back() / "evaluation");
    write_task_result(runs.back() / "evaluation" / "keys.json",
                      passkey(runs.size() == 1 ? 0.5 : 0.95));
    TaskResult copy = passkey(0.5);
    copy.task = "copy";
    write_task_result(runs.back() / "evaluation" / "copy.json", copy);
  }
  write_report({.runs = runs, .output = scratch.path() / "report.html", .title = ""});
  std::stringstream html;
  html << std::ifstream(scratch.path() / "report.html").rdbuf();
  EXPECT_THAT(html.str(), HasSubstr("Passkey retrieval: at 2k, two answers best (95 %)"));
  EXPECT_THAT(html.str(), HasSubstr("String copying"));
  EXPECT_THAT(html.str(), HasSubstr("512 letters"));
  EXPECT_THAT(html.str(), Not(HasSubstr("nothing can be said of lengths")));
}

}  // namespace
}  // namespace longhaul::eval
