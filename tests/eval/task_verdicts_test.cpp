// Who answers best at each length: the sentence, and the marks of the table.
#include "eval/task_verdicts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "eval/report_tasks.h"
#include "eval/seeds.h"

namespace longhaul::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

using Shares = std::vector<double>;

/// One run that is right so often at lengths 512, 1k, 2k, …; intervals of ± 5 points.
TaskResult run(const Shares& shares, const std::string& task = "passkey") {
  TaskResult result{.task = task, .cells = {}};
  int64_t length = 512;
  for (const double share : shares) {
    result.cells.push_back({.length = length,
                            .trials = 400,
                            .accuracy = share,
                            .exact = share,
                            .low = share - 0.05,
                            .high = share + 0.05});
    length *= 2;
  }
  return result;
}

/// The mean over seeds that are right so often at 512.
TaskResult seeds(const Shares& shares) {
  TaskResult mean = run({0});
  std::vector<TaskCell> cells;
  for (const double share : shares) {
    mean.of_seeds.push_back({"seed-" + std::to_string(mean.of_seeds.size()), run({share})});
    cells.push_back(mean.of_seeds.back().value.cells[0]);
  }
  mean.cells = {mean_cell(cells)};
  return mean;
}

const std::vector<std::string> kNames{"a", "b", "c", "d", "e", "f"};

std::string told(const std::vector<TaskResult>& arms) {
  LinedUp<TaskResult> section{.name = "", .arms = {}};
  for (const TaskResult& arm : arms) section.arms.push_back(&arm);
  return task_findings(section, {kNames.begin(), kNames.begin() + std::ssize(arms)})[0];
}

constexpr const char* kIntervals = ": one run each, by their 95 % intervals, which overlap.";

TEST(TaskVerdicts, NameAllThatAreNotToldApartFromTheBest) {
  EXPECT_EQ(told({run({0.11}), run({0.51}), run({0.54})}),
            std::string("at 512, c and b answer best (54, 51 %; not told apart), a worst (11 %)") +
                kIntervals);
  EXPECT_EQ(told({run({0.11}), run({0.41}), run({0.54})}),
            "at 512, c answers best (54 %), a worst (11 %).");
  EXPECT_EQ(told({run({0.50}), run({0.51}), run({0.54})}),
            std::string("not told apart at 512") + kIntervals);
}

TEST(TaskVerdicts, NameThreeOfManyThatAnswerBest) {
  EXPECT_THAT(
      told({run({0.51}), run({0.52}), run({0.53}), run({0.54}), run({0.55}), run({0.11})}),
      HasSubstr("at 512, e, d, c and 2 more answer best (55, 54, 53 %; not told apart), f worst"));
  EXPECT_THAT(told({run({0.52}), run({0.53}), run({0.54}), run({0.11})}),
              HasSubstr("c, b and a answer best (54, 53, 52 %; not told apart), d worst (11 %)"));
}

TEST(TaskVerdicts, AreByTheDifferencesOfSeeds) {
  const TaskResult best = seeds({0.5, 0.6, 0.7}), steady = seeds({0.4, 0.51, 0.59}),
                   noisy = seeds({0.7, 0.3, 0.6}), worst = seeds({0.1, 0.21, 0.3});
  EXPECT_EQ(told({worst, best, steady}), "at 512, b answers best (60 %), a worst (20 %).");
  EXPECT_EQ(told({worst, best, noisy}),
            "at 512, b and c answer best (60, 53 %; not told apart), a worst (20 %): 3 seeds, by "
            "what seeds differ by (differences seed by seed, Student's t at 95 %).");
  EXPECT_THAT(told({noisy, best}), HasSubstr("not told apart at 512: 3 seeds, by what"));
}

/// The noisy arm is the worst, but the steady one between is what the best is told apart from.
TEST(TaskVerdicts, CallNobodyWorstWhoIsNotToldApart) {
  EXPECT_THAT(told({seeds({0.5, 0.6, 0.7}), seeds({0.4, 0.51, 0.59}), seeds({0.9, 0, 0.1})}),
              HasSubstr("at 512, a and c answer best (60, 33 %; not told apart), a better than b "
                        "(50 %): 3 seeds"));
}

/// The second seeds 1 and 2 are better, where the mean over all seeds is worse.
TEST(TaskVerdicts, AreNotTheContraryOfTheMeans) {
  EXPECT_THAT(told({seeds({0.5, 0.6, 0.9, 0.9}), seeds({0.6, 0.7})}),
              HasSubstr("not told apart at 512"));
}

TEST(TaskVerdicts, OfNeighbouringLengthsAreToldTogether) {
  EXPECT_EQ(told({run({0.9, 0.8, 0.7, 0.2, 0.6, 0.1}), run({0.5, 0.4, 0.3, 0.2, 0.4, 0.1})}),
            std::string("from 512 to 2k, a answers best (90 to 70 %), b worst (50 to 30 %); at 8k, "
                        "a answers best (60 %), b worst (40 %); not told apart at 4k and 16k") +
                kIntervals);
  EXPECT_EQ(told({run({0.9, 0.7}), run({0.5, 0.9})}),
            "at 512, a answers best (90 %), b worst (50 %); at 1k, b answers best (90 %), a worst "
            "(70 %).");
  EXPECT_THAT(told({run({0.9, 0.7}), run({0.85, 0.65}), run({0.1, 0.1})}),
              HasSubstr("from 512 to 1k, a and b answer best (90 to 70, 85 to 65 %; not told "
                        "apart), c worst (10 %)"));
}

/// At 1k there is one arm alone: the lengths around it are no neighbours.
TEST(TaskVerdicts, AreNotToldOfLengthsBetweenThatNobodyJudged) {
  TaskResult gap = run({0.5, 0.4, 0.3});
  gap.cells.erase(gap.cells.begin() + 1);
  EXPECT_EQ(told({run({0.9, 0.8, 0.7}), gap}),
            "at 512, a answers best (90 %), b worst (50 %); at 2k, a answers best (70 %), b worst "
            "(30 %).");
}

TEST(TaskVerdicts, TellTheUnitOfLengthsOnce) {
  EXPECT_THAT(told({run({0.9, 0.8, 0.5, 0.5}, "copy"), run({0.5, 0.4, 0.5, 0.5}, "copy")}),
              HasSubstr("from 512 to 1024 letters, a answers best (90 to 80 %), b worst (50 to 40 "
                        "%); not told apart at 2048 and 4096 letters:"));
}

/// Marks of three arms at a length.
std::vector<std::string> marks(const TaskVerdicts& verdicts, int64_t length) {
  return {verdicts.mark(length, 0), verdicts.mark(length, 1), verdicts.mark(length, 2)};
}

TEST(TaskMarks, AreForTheBestAndWhoIsNotToldApart) {
  const TaskResult a = run({0.51, 0.6, 0, 0.4}), b = run({0.11, 0.8, 0}), c = run({0.54, 0.6, 0});
  const LinedUp<TaskResult> section{.name = "", .arms = {&a, &b, &c}};
  const TaskVerdicts verdicts = judge_task(section);
  EXPECT_THAT(marks(verdicts, 512), ElementsAre("○ ", "", "● "));
  EXPECT_THAT(marks(verdicts, 1024), ElementsAre("", "● ", ""));
  EXPECT_THAT(marks(verdicts, 2048), ElementsAre("", "", "")) << "nobody answers";
  EXPECT_THAT(marks(verdicts, 4096), ElementsAre("", "", "")) << "one arm alone";
}

TEST(TaskMarks, AreInTheTableWithALegend) {
  const TaskResult a = run({0.51, 0}), b = run({0.11, 0}), c = run({0.54, 0});
  const auto html = [](std::vector<const TaskResult*> arms) {
    const Figures figures({kNames.begin(), kNames.begin() + std::ssize(arms)});
    return task_html({.name = "", .arms = std::move(arms)}, figures, 0);
  };
  const std::string three = html({&a, &b, &c});
  EXPECT_THAT(three, HasSubstr("interval. ● best, ○ not told apart from the best, by their 95 % "
                               "intervals, which overlap.</p>"));
  EXPECT_THAT(three, HasSubstr("<td>○ 51.0 <small>"));
  EXPECT_THAT(three, HasSubstr("<td>11.0 <small>"));
  EXPECT_THAT(three, HasSubstr("<td class=\"best\">● 54.0 <small>"));
  const std::string two = html({&b, &c});
  EXPECT_THAT(two, HasSubstr("interval. ● best.</p>"));
  EXPECT_THAT(two, Not(HasSubstr("○")));
  EXPECT_THAT(html({&a}), Not(HasSubstr("●")));
}

}  // namespace
}  // namespace longhaul::eval
