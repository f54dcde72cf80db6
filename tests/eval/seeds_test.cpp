// Runs that differ in their seed, as one arm.
#include "eval/seeds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "eval/estimate.h"
#include "eval/findings.h"
#include "eval/report.h"
#include "eval/report_effrem.h"
#include "eval/seed_groups.h"
#include "kernels/core/error.h"
#include "tests/eval/scratch_folder.h"

namespace longhaul::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

PositionCurve curve(double loss, int64_t length = 4) {
  PositionCurve result{.task = "text", .length = length, .sequences = 2, .training_length = 2};
  for (const Bucket& edges : log_buckets(length)) {
    result.buckets.push_back({.begin = edges.begin,
                              .end = edges.end,
                              .count = 2,
                              .loss = loss + static_cast<double>(edges.begin),
                              .loss_error = 9,
                              .accuracy = loss / 10});
  }
  result.states.push_back({.position = length, .mean = 0, .deviation = 2 * loss, .norm = loss});
  return result;
}

RunFolder run(const std::string& name, double loss) {
  RunFolder result;
  result.name = name;
  result.training = {{.step = 1, .tokens = 8, .values = {{"loss", loss}, {"rate", 1}}},
                     {.step = 2, .tokens = 16, .values = {{"loss", loss - 1}}}};
  result.configuration = {{"optimizer.rate", "0.1"}, {"run.seed", name}};
  result.evaluations = {{.name = "perplexity", .value = curve(loss)}};
  return result;
}

TEST(Seeds, CurvesAreMeansAndErrorsTheirDeviation) {
  const RunFolder mean =
      mean_of_seeds("arm", {run("seed-1", 1), run("seed-2", 3), run("seed-3", 5)});
  EXPECT_EQ(mean.name, "arm");
  ASSERT_EQ(mean.evaluations.size(), 1u);
  const PositionCurve& found = mean.evaluations[0].value;
  ASSERT_EQ(found.of_seeds.size(), 3u);
  EXPECT_EQ(found.of_seeds[1].name, "seed-2");
  EXPECT_EQ(found.of_seeds[1].value.buckets[0].loss_error, 9);
  for (const Bucket& bucket : found.buckets) {
    EXPECT_DOUBLE_EQ(bucket.loss, 3 + static_cast<double>(bucket.begin));
    EXPECT_DOUBLE_EQ(bucket.loss_error, 2);  // √((4 + 0 + 4) / 2)
    EXPECT_DOUBLE_EQ(bucket.accuracy, 0.3);
    EXPECT_DOUBLE_EQ(bucket.accuracy_error, 0.2);
    EXPECT_EQ(bucket.count, 6);
  }
  EXPECT_DOUBLE_EQ(found.states[0].deviation, 6);
  EXPECT_DOUBLE_EQ(found.states[0].deviation_error, 4);
  EXPECT_DOUBLE_EQ(found.states[0].norm, 3);
}

TEST(Seeds, TrainingTakesWhatAllHaveAndTheConfigurationWhatTheyShare) {
  RunFolder shorter = run("seed-2", 3);
  shorter.training.pop_back();
  shorter.training[0].values.erase("rate");
  const RunFolder mean = mean_of_seeds("arm", {run("seed-1", 1), shorter});
  ASSERT_EQ(mean.training.size(), 1u);
  EXPECT_THAT(mean.training[0].values, ElementsAre(Pair("loss", 2)));
  EXPECT_THAT(mean.configuration, ElementsAre(Pair("optimizer.rate", "0.1")));
}

TEST(Seeds, WhatSomeLackIsToldAndOtherLengthsAreRefused) {
  RunFolder without = run("seed-2", 3);
  without.evaluations.clear();
  const RunFolder mean = mean_of_seeds("arm", {run("seed-1", 1), without});
  EXPECT_TRUE(mean.evaluations[0].value.of_seeds.empty());
  EXPECT_EQ(mean.evaluations[0].value.buckets[0].loss_error, 9);  // its own
  EXPECT_THAT(mean.missing, ElementsAre("perplexity is there for 1 of 2 seeds only"));

  RunFolder longer = run("seed-2", 3);
  longer.evaluations[0].value = curve(3, 8);
  try {
    mean_of_seeds("arm", {run("seed-1", 1), longer});
    FAIL();
  } catch (const core::InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("arm, perplexity: the seeds were not measured alike"));
  }
}

TEST(Seeds, TasksEffectsAndStates) {
  RunFolder first, second;
  const auto cell = [](double accuracy, double low, double high) {
    return TaskCell{.length = 64,
                    .depth_low = low,
                    .depth_high = high,
                    .trials = 10,
                    .accuracy = accuracy,
                    .exact = accuracy};
  };
  first.tasks = {{.name = "passkey",
                  .value = {.task = "passkey", .cells = {cell(0.5, 0, 1), cell(0.5, 0.2, 0.4)}}}};
  second.tasks = {{.name = "passkey",
                   .value = {.task = "passkey", .cells = {cell(0.9, 0, 1), cell(0.9, 0, 0.2)}}}};
  const auto effrem = [](double distance) {
    return EffRem{.read = "text", .length = 2, .points = {{.dropped = 1, .distance = distance}}};
  };
  first.effrems = {{.name = "effrem", .value = effrem(0.1)}};
  second.effrems = {{.name = "effrem", .value = effrem(0.3)}};
  const auto states = [](double x) {
    const MomentsByPosition moments{.mean = {x}, .deviation = {2 * x}, .norm = {3 * x}};
    return StateStatistics{.read = "text",
                           .length = 2,
                           .positions = {2},
                           .pooled = moments,
                           .deviation_error = {0},
                           .layers = {{.layer = 0, .moments = moments}},
                           .heads = {{.layer = 0, .head = 0, .log_decay = -x, .moments = moments}}};
  };
  first.states = {{.name = "states", .value = states(1)}};
  second.states = {{.name = "states", .value = states(3)}};

  const RunFolder mean = mean_of_seeds("arm", {first, second});
  const std::vector<TaskCell>& cells = mean.tasks[0].value.cells;
  ASSERT_EQ(cells.size(), 3u);
  EXPECT_TRUE(cells[0].all_depths());
  EXPECT_DOUBLE_EQ(cells[0].accuracy, 0.7);
  EXPECT_NEAR(cells[0].high, 0.7 + 0.2 * std::sqrt(2), 1e-12);
  EXPECT_EQ(cells[0].trials, 20);
  EXPECT_DOUBLE_EQ(cells[1].accuracy, 0.9);  // drawn in one seed only
  EXPECT_DOUBLE_EQ(cells[2].accuracy, 0.5);
  EXPECT_DOUBLE_EQ(mean.effrems[0].value.points[0].distance, 0.2);
  EXPECT_NEAR(mean.effrems[0].value.points[0].error, 0.1 * std::sqrt(2), 1e-12);
  const StateStatistics& found = mean.states[0].value;
  EXPECT_THAT(found.pooled.norm, ElementsAre(6));
  EXPECT_NEAR(found.deviation_error[0], 2 * std::sqrt(2), 1e-12);
  EXPECT_THAT(found.layers[0].moments.deviation, ElementsAre(4));
  EXPECT_TRUE(found.heads.empty());
  ASSERT_EQ(found.of_seeds.size(), 2u);
  EXPECT_DOUBLE_EQ(found.of_seeds[1].value.heads[0].log_decay, -3);
}

TEST(Seeds, WhatASeedHasNoLabelsOrTrialsOfIsLeftOut) {
  RunFolder first = run("seed-1", 1), second = run("seed-2", 3);
  PositionCurve& lacking = first.evaluations[0].value;
  lacking.buckets[0] = {.begin = 0, .end = 1};
  lacking.reaches = {{.begin = 2, .end = 3, .count = 4, .accuracy = 0.5}};
  second.evaluations[0].value.reaches = {{.begin = 1, .end = 2, .count = 1, .accuracy = 1},
                                         {.begin = 2, .end = 3, .count = 2, .accuracy = 0.75}};
  const TaskCell none{.length = 64, .trials = 0}, high{.length = 64, .trials = 10, .accuracy = 1},
      low{.length = 64, .trials = 10, .accuracy = 0.9};
  const auto task = [](const TaskCell& cell) {
    return std::vector<Named<TaskResult>>{
        {.name = "passkey", .value = {.task = "passkey", .cells = {cell}}}};
  };
  first.tasks = task(none);
  second.tasks = task(high);
  RunFolder third = run("seed-3", 5);
  third.tasks = task(low);
  const RunFolder mean = mean_of_seeds("arm", {first, second, third});
  const PositionCurve& curve = mean.evaluations[0].value;
  EXPECT_DOUBLE_EQ(curve.buckets[0].loss, 4);
  EXPECT_EQ(curve.buckets[0].count, 4);
  EXPECT_NEAR(curve.buckets[0].loss_error, std::sqrt(2), 1e-12);
  ASSERT_EQ(curve.reaches.size(), 2u);
  EXPECT_DOUBLE_EQ(curve.reaches[0].accuracy, 1);
  EXPECT_DOUBLE_EQ(curve.reaches[1].accuracy, 0.625);
  const TaskCell& cell = mean.tasks[0].value.cells.at(0);
  EXPECT_DOUBLE_EQ(cell.accuracy, 0.95);
  EXPECT_EQ(cell.trials, 20);
  EXPECT_DOUBLE_EQ(cell.high, 1);  // not 102 %
  EXPECT_NEAR(cell.low, 0.95 - 0.1 / std::sqrt(2), 1e-12);
}

/// Seeds that lie far apart, each with little noise of its own.
RunFolder precise(const std::string& name, double loss, double rise) {
  RunFolder result = run(name, loss);
  for (Bucket& bucket : result.evaluations[0].value.buckets) {
    bucket.loss = loss + (bucket.begin >= 2 ? rise : 0);
    bucket.loss_error = 0.01;
  }
  return result;
}

std::vector<std::string> findings_of(const std::vector<RunFolder>& arms) {
  std::vector<std::string> names;
  for (const RunFolder& arm : arms) names.push_back(arm.name);
  return findings(make_sections(arms).at(0), names);
}

TEST(Seeds, AnArmFailsWhereMostOfItsSeedsDo) {
  const RunFolder all = mean_of_seeds(
      "all", {precise("seed-1", 1, 0.5), precise("seed-2", 5, 0.6), precise("seed-3", 9, 0.7)});
  const RunFolder one = mean_of_seeds(
      "one", {precise("seed-1", 1, 0), precise("seed-2", 5, 0), precise("seed-3", 9, 0.7)});
  const auto found = findings_of({all, one});
  EXPECT_EQ(found[0], "all fails past the training length; one holds.");
  EXPECT_THAT(found[1], HasSubstr("all: fails in 3 of 3 seeds; in their mean perplexity at 2×"));
  EXPECT_THAT(found[2], HasSubstr("one: fails in 1 of 3 seeds"));
}

TEST(Seeds, HalfTheSeedsDecideNothing) {
  const RunFolder half = mean_of_seeds("half", {precise("seed-1", 1, 0), precise("seed-2", 5, 1)});
  const auto found = findings_of({half});
  EXPECT_EQ(found[0], "Whether an arm fails past its training length is undecided.");
  EXPECT_THAT(found[1], HasSubstr("half: fails in 1 of 2 seeds; in their mean"));
}

TEST(Seeds, NobodySaysNoFailureWhereASeedFails) {
  const auto of_three = [](double third) {
    return findings_of({mean_of_seeds(
        "a", {precise("seed-1", 1, 0), precise("seed-2", 5, 0), precise("seed-3", 9, third)})})[0];
  };
  EXPECT_EQ(of_three(1), "No arm fails past its training length in most of its seeds.");
  EXPECT_THAT(of_three(0), HasSubstr("there is no failure here"));
}

TEST(Seeds, ArmsOfUndecidedSeedsAreUndecided) {
  RunFolder vague = precise("seed-2", 5, 0.6);
  for (Bucket& bucket : vague.evaluations[0].value.buckets) bucket.loss_error = 0.5;
  const auto found = findings_of({mean_of_seeds("a", {precise("seed-1", 1, 0.5), vague})});
  EXPECT_EQ(found[0], "Whether an arm fails past its training length is undecided.");
  EXPECT_THAT(found[1], HasSubstr("a: fails in 1 and is undecided in 1 of 2 seeds; in their mean"));
}

TEST(Seeds, ArmsAreComparedSeedBySeed) {
  const auto arm = [](std::vector<double> values, const std::string& prefix = "seed-") {
    std::vector<Named<double>> seeds;
    for (size_t i = 0; i < values.size(); ++i) {
      seeds.push_back({prefix + std::to_string(i), values[i]});
    }
    return over_seeds(std::move(seeds));
  };
  const Estimate high = arm({1.0, 5.0, 9.0}), low = arm({0.5, 4.4, 8.5});
  EXPECT_DOUBLE_EQ(high.value, 5);
  EXPECT_DOUBLE_EQ(high.error, 4 / std::sqrt(3));
  EXPECT_EQ(differ(high, low), true);
  EXPECT_EQ(differ(low, high), true);
  EXPECT_EQ(differ(high, arm({0.5, 4.4, 8.5}, "other-")), false);  // nothing in common
  EXPECT_EQ(differ(arm({1.0, 5.0}), arm({0.5, 4.4})), false);  // Student's t with one degree: 12.7
  EXPECT_EQ(differ(high, arm({0.5, 5.5, 8.5})), false);
  EXPECT_EQ(differ({.value = 1, .error = 0.1}, {.value = 1.3, .error = 0.1}), true);
  EXPECT_EQ(differ({.value = 1, .error = 0.1}, {.value = 1.2, .error = 0.1}), false);
  EXPECT_EQ(differ({.value = 1, .error = std::nan("")}, {.value = 9, .error = 0.1}), std::nullopt);
}

RunFolder remembering(const std::string& name, double distance, double after_all_but_four) {
  RunFolder result;
  result.name = name;
  EffRem effrem{.read = "text", .length = 8, .training_length = 4};
  for (int64_t t : effrem_grid(8)) {
    effrem.points.push_back(
        {.dropped = t, .distance = t == 4 ? after_all_but_four : distance, .error = 0.001});
  }
  result.effrems = {{.name = "effrem", .value = effrem}};
  return result;
}

TEST(Seeds, EffectsAreComparedSeedBySeed) {
  const RunFolder more =
      mean_of_seeds("more", {remembering("seed-1", 0, 0.30), remembering("seed-2", 0, 0.50),
                             remembering("seed-3", 0, 0.71)});
  const RunFolder less =
      mean_of_seeds("less", {remembering("seed-1", 0, 0.20), remembering("seed-2", 0, 0.41),
                             remembering("seed-3", 0, 0.60)});
  const RunFolder mixed =
      mean_of_seeds("mixed", {remembering("seed-1", 0, 0.10), remembering("seed-2", 0, 0.51),
                              remembering("seed-3", 0, 0.60)});
  const auto compared = [](const RunFolder& a, const RunFolder& b) {
    return effrem_findings({.name = "", .arms = {&a.effrems[0].value, &b.effrems[0].value}},
                           {a.name, b.name})[0];
  };
  EXPECT_THAT(compared(more, less), HasSubstr("weighs most in more (0.503"));
  EXPECT_THAT(compared(more, mixed),
              HasSubstr("the arms are not told apart: 0.403 in mixed, 0.503 in more (3 seeds, by "
                        "what seeds differ by (differences seed by seed, Student's t at 95 %))."));
}

TEST(Seeds, FoldersAreFoundByNumber) {
  testing::ScratchFolder scratch;
  for (const char* name : {"seed-10", "seed-2", "seed-x", "seed-", "other"}) {
    scratch.write(std::string(name) + "/file", "");
  }
  scratch.write("seed-3", "a file");
  EXPECT_THAT(seed_folders(scratch.path()),
              ElementsAre(scratch.path() / "seed-2", scratch.path() / "seed-10"));
  EXPECT_TRUE(seed_folders(scratch.path() / "none").empty());
}

TEST(Seeds, TheReportShowsArmsOfSeedsAndWritesFigures) {
  testing::ScratchFolder scratch;
  for (const auto& [name, loss] : {std::pair{"a/seed-1", 1.0}, {"a/seed-2", 2.0}, {"b", 3.0}}) {
    write_curve(scratch.write(std::string(name) + "/evaluation/perplexity.json", ""), curve(loss));
  }
  write_report({.runs = {scratch.path() / "a", scratch.path() / "b"},
                .output = scratch.path() / "report.html",
                .title = "seeds",
                .figures = scratch.path() / "figures"});
  const std::string html = testing::read_all(scratch.path() / "report.html");
  EXPECT_THAT(html, HasSubstr("mean over 2 seeds"));
  EXPECT_THAT(html,
              HasSubstr("one standard deviation over seeds (where an arm is one run: standard "
                        "error over sequences)"));
  EXPECT_THAT(html, HasSubstr("an arm of several fails where most of its seeds do"));
  const std::string svg = testing::read_all(scratch.path() / "figures/s0loss.svg");
  EXPECT_THAT(svg, HasSubstr("Perplexity by position"));
  EXPECT_THAT(svg, HasSubstr(">b</text>"));
}

}  // namespace
}  // namespace longhaul::eval
