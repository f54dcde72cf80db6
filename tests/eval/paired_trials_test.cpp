// Arms that were asked the same questions, or read the same sequences.
#include "eval/tasks/paired_trials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "eval/report_effrem.h"
#include "eval/report_tasks.h"
#include "eval/seeds.h"

namespace longhaul::eval {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// `first` ones, then zeros.
std::vector<double> scores(int64_t ones, int64_t trials, int64_t zeros_before = 0) {
  std::vector<double> all(static_cast<size_t>(trials));
  for (int64_t i = 0; i < ones; ++i) all[static_cast<size_t>(zeros_before + i)] = 1;
  return all;
}

TEST(PairedTrials, DifferenceAndErrorByHand) {
  const Comparison found = compare_trials({1, 1, 0, 1}, {0, 1, 1, 0});  // 1, 0, −1, 1
  EXPECT_DOUBLE_EQ(found.difference, 0.25);
  EXPECT_DOUBLE_EQ(found.error, std::sqrt((3 - 4 * 0.0625) / 3 / 4));
  EXPECT_EQ(found.apart, false);
  EXPECT_EQ(found.pairing, Pairing::kTrials);
  EXPECT_EQ(found.text("%.2f"), "; paired trial by trial they differ by 0.25 ± 0.48");
  EXPECT_EQ(compare_trials({1}, {0}).text("%.0f", 100),
            "; paired trial by trial they differ by 100");
}

/// Two-sided, of a fair coin: 5 of 5 in 1 of 16, 6 of 6 in 1 of 32; 1 of 8 in 9 of 128, 1 of 9 in
/// 10 of 256.
TEST(PairedTrials, AreToldApartAsTheExactTestOfMcNemarSays) {
  EXPECT_EQ(compare_trials(scores(5, 100), scores(0, 100)).apart, false);
  EXPECT_EQ(compare_trials(scores(6, 100), scores(0, 100)).apart, true);
  EXPECT_EQ(compare_trials(scores(7, 100), scores(1, 100, 50)).apart, false);
  EXPECT_EQ(compare_trials(scores(8, 100), scores(1, 100, 50)).apart, true);
  EXPECT_EQ(compare_trials(scores(50, 100), scores(50, 100)).apart, false);
  EXPECT_EQ(compare_trials(scores(1, 2), scores(0, 2)).apart, false);
  EXPECT_EQ(compare_trials(scores(2000, 2000), scores(0, 2000)).apart, true);
  // Graded: few that differ say nothing, whatever their spread.
  EXPECT_EQ(compare_trials({0.5, 0.5, 0.5}, {0, 0, 0}).apart, false);
  EXPECT_EQ(compare_trials(std::vector<double>(8, 0.5), scores(0, 8)).apart, true);
}

/// Right where the question is easy; the harder half `better` of them more.
TaskResult passkey(int64_t better, const std::string& seed = "1") {
  TaskResult result{.task = "passkey", .training_length = 512, .cells = {}};
  result.measured = {{"model", std::to_string(better)}, {"task ", "3"}, {"seed", seed}};
  for (const char* part : {"a", "b"}) {
    const std::vector<double> own = scores(50 + better, 100);
    result.cells.push_back(cell_of({.part = part, .length = 1024}, own, false));
    result.cells.back().scores = own;
  }
  return result;
}

std::string compared(const TaskResult& a, const TaskResult& b) {
  return task_findings({.name = "", .arms = {&a, &b}}, {"a", "b"})[0];
}

TEST(PairedTrials, TellArmsApartWhoseIntervalsOverlap) {
  const TaskResult base = passkey(0), better = passkey(4);  // 8 of 200, over both parts
  EXPECT_EQ(compared(base, better),
            "at 1k, b answers best (54 %), a worst (50 %; paired trial by trial they differ by 4 ± "
            "1).");
  EXPECT_THAT(compared(base, passkey(4, "2")), HasSubstr("intervals, which overlap"))
      << "other questions";
  EXPECT_THAT(
      compared(base, passkey(2)),
      HasSubstr("not told apart at 1k: one run each, by the exact test of McNemar at 95 %"));
  TaskResult older = better;
  for (TaskCell& cell : older.cells) cell.scores.clear();
  EXPECT_THAT(compared(base, older), HasSubstr("not told apart"));
  EXPECT_THAT(compared(base, older), Not(HasSubstr("paired")));
}

/// b's 54 % and c's 53 % differ in 2 of 200 questions, b's and a's 50 % in 8.
TEST(PairedTrials, TellTheBestFromEveryOtherArm) {
  const TaskResult base = passkey(0), best = passkey(4), second = passkey(3);
  const LinedUp<TaskResult> section{.name = "", .arms = {&base, &best, &second}};
  EXPECT_EQ(task_findings(section, {"a", "b", "c"})[0],
            "at 1k, b and c answer best (54, 53 %; not told apart), a worst (50 %; paired trial by "
            "trial the first and it differ by 4 ± 1): one run each, by the exact test of McNemar "
            "at 95 % (graded scores: Student's t).");
  const TaskResult last = passkey(-4);
  EXPECT_EQ(task_findings({.name = "", .arms = {&last, &best, &base}}, {"a", "b", "c"})[0],
            "at 1k, b answers best (54 %), a worst (46 %; paired trial by trial they differ by 8 ± "
            "2).");
}

/// The arms share qa4 alone: the questions of what is left out do not make its own differ.
TEST(PairedTrials, AreThoseOfThePartsThatArmsShare) {
  const auto arm = [](int64_t better, const char* other) {
    TaskResult result = passkey(better);
    result.task = "babilong";
    result.cells[0].part = other;
    result.cells[1].part = "qa4";
    result.measured = {{"task " + std::string(other), "8"}, {"task qa4", "3"}, {"seed", "1"}};
    return result;
  };
  const TaskResult base = arm(0, "qa1"), better = arm(6, "qa2");
  EXPECT_THAT(compared(base, better), HasSubstr("paired trial by trial they differ by 6 ± 2"));
  TaskResult others = better;
  others.measured[1].second = "5";
  EXPECT_THAT(compared(base, others), HasSubstr("not told apart at 1k: one run each, by their"));
}

TEST(PairedTrials, MeansOverSeedsHoldNone) {
  EXPECT_TRUE(mean_cell({passkey(0).cells[0], passkey(1).cells[0]}).scores.empty());
}

/// Some sequences move everybody's predictions more.
EffRem effrem(double more, const std::string& seed = "1") {
  EffRem result{.read = "text", .length = 128, .sequences = 4, .training_length = 64};
  result.measured = {{"tokens", "5"}, {"seed", seed}};
  EffRemPoint point{.dropped = 64};
  for (const double distance : {0.1, 0.3, 0.5, 0.7}) {
    point.by_sequence.push_back(distance + more + more * distance / 10);
    point.distance += point.by_sequence.back() / 4;
  }
  point.error = standard_error(point.by_sequence);
  result.points = {point};
  return result;
}

TEST(PairedEffRem, IsComparedSequenceBySequence) {
  const EffRem base = effrem(0), more = effrem(0.05), other = effrem(0.05, "2");
  const auto findings = [&](const EffRem& second) {
    return effrem_findings({.name = "", .arms = {&base, &second}}, {"a", "b"})[0];
  };
  EXPECT_EQ(findings(more),
            "what lies before the last training length weighs most in b (0.452 in total "
            "variation), least in a (0.400); paired sequence by sequence they differ by 0.052 ± "
            "0.001.");
  EXPECT_THAT(findings(other), HasSubstr("not told apart"));
  EXPECT_THAT(findings(other), Not(HasSubstr("paired")));
}

}  // namespace
}  // namespace longhaul::eval
