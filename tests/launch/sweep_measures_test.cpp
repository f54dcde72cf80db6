// Evaluations of a sweep: their YAML and their numbers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "eval/perplexity.h"
#include "eval/tasks/task_result.h"
#include "kernels/core/error.h"
#include "launch/sweep/measure_number.h"
#include "launch/sweep/sweep_config.h"
#include "tests/launch/two_measures.h"

namespace longhaul::launch {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

SweepConfig parse(const std::string& yaml) {
  return parse_sweep_config("base: b\nfolder: f\nvalues: {optimizer.rate: [1]}\n" + yaml, "s");
}
core::Problems problems(const std::string& yaml) {
  try {
    parse(yaml);
  } catch (const core::InputError& error) {
    return error.problems();
  }
  return {};
}

TEST(SweepMeasures, AreCommandsOfEval) {
  const SweepConfig sweep = parse(kTwoMeasures);
  ASSERT_EQ(sweep.measures.size(), 2u);
  EXPECT_EQ(sweep.measures[0].kind, "perplexity");
  EXPECT_EQ(sweep.measures[0].name, "text");
  EXPECT_THAT(sweep.measures[0].words,
              ElementsAre("--data=tokens", "--length=64", "--sequences=2", "--no-states"));
  EXPECT_EQ(sweep.measures[1].name, "passkey");
  EXPECT_THAT(sweep.measures[1].words, ElementsAre("--lengths=16", "--lengths=32", "--depths=0.5",
                                                   "--trials=3", "--tokenizer=byte"));
  EXPECT_THAT(sweep.measures[1].numbers("lengths"), ElementsAre(16, 32));
  EXPECT_THAT(parse("measures: [copy: ]\n").measures[0].words, IsEmpty());
  const auto words = [](const std::string& options) {
    return parse("measures: [babilong: {lengths: 0, " + options + "}]\n").measures[0].words;
  };
  EXPECT_THAT(words("instruction: false, stories: [a, b]"),
              ElementsAre("--lengths=0", "--instruction=false", "--stories=a", "--stories=b"));
  EXPECT_THAT(words("instruction: true"), ElementsAre("--lengths=0", "--instruction"));
  EXPECT_THAT(words("no_instruction: true"), ElementsAre("--lengths=0", "--no-instruction"));
}

TEST(SweepMeasures, WhatEvalWouldRefuseIsToldWithItsLineAndKey) {
  EXPECT_THAT(
      problems(
          "measures:\n"
          "  - perplxity: {}\n"
          "  - perplexity: {data: t, length: 0, sequences: many}\n"
          "  - perplexity: {data: t, lenght: 8, sequences: 2}\n"
          "  - recall: {length: 8, sequences: 2, no_states: 1, model: m, json: j, threads: 2}\n"
          "  - passkey: {lengths: [8, x], trials: [1, 2], depths: [], windows: inside}\n"
          "  - recall\n"
          "  - {recall: {}, copy: {}}\n"
          "  - states: 3\n"
          "  - effrem: {length: 8, sequences: 2, windows: outside, help: true, name: a/b}\n"),
      ElementsAre(
          "s:5: measures.perplxity: is no measure of longhaul eval (did you mean perplexity?)",
          HasSubstr("s:6: measures.perplexity.length: must be at least 1, is 0"),
          HasSubstr("s:6: measures.perplexity.sequences: found 'many'"),
          "s:7: measures.perplexity.lenght: is no option of longhaul eval perplexity (did you mean "
          "length?)",
          "s:8: measures.recall.no_states: found '1', expected true or false",
          "s:8: measures.recall.model: is set by the sweep",
          "s:8: measures.recall.json: is set by the sweep",
          "s:8: measures.recall.threads: is set by the sweep",
          HasSubstr("s:9: measures.passkey.lengths: found 'x'"),
          HasSubstr("s:9: measures.passkey.trials: found a list, expected a value"),
          HasSubstr("s:9: measures.passkey.depths: is empty"),
          HasSubstr("s:9: measures.passkey.windows: is no option of longhaul eval passkey"),
          HasSubstr("s:10: measures: found 'recall', expected one evaluation, such as"),
          HasSubstr("s:11: measures: found 2 keys, expected one evaluation"),
          HasSubstr("s:12: measures.states: found '3', expected its options"),
          HasSubstr("s:13: measures.effrem.windows: "),
          HasSubstr("s:13: measures.effrem.help: is no option"),
          HasSubstr("s:13: measures.effrem.name: found 'a/b', expected a name")));
  EXPECT_THAT(problems("measures:\n  - perplexity: {length: 8, sequences: 2}\n"),
              ElementsAre("s:5: measures.perplexity: --data is required"));
  EXPECT_THAT(problems("measures:\n  - recall: {keys: 4, run: r.yaml, length: 8, sequences: 1}\n"),
              ElementsAre(HasSubstr("s:5: measures.recall: ")));
  EXPECT_THAT(problems("measures:\n  - copy: {letters: 4, lengths: 3}\n  - copy: {trials: 2}\n"),
              ElementsAre(HasSubstr("s:6: measures.copy: the name copy is there twice")));
  EXPECT_THAT(problems("measures: 3\n"), ElementsAre(HasSubstr("s:4: measures: found '3'")));
  EXPECT_THAT(
      problems("ranks: 2\nmeasures: [recall: {length: 8, sequences: 2, sequence_ranks: "
               "3}]\n"),
      ElementsAre(HasSubstr("recall: sequence_ranks is 3, expected what divides ranks, 2")));
}

TEST(SweepMeasures, TheMetricIsANumberThatTheyHave) {
  const std::string measures = std::string(kTwoMeasures) +
                               "  - effrem: {length: 8, sequences: 2}\n"
                               "  - states: {length: 12, sequences: 2}\n";
  const auto problem = [&](const std::string& metric) {
    const core::Problems all = problems(measures + "metric: {" + metric + "}\n");
    return all.empty() ? "" : all.front();
  };
  for (const char* good :
       {"measure: text, name: perplexity", "measure: text, name: perplexity, at: 64",
        "measure: text, name: loss_at_end", "measure: passkey, name: accuracy, goal: maximize",
        "measure: passkey, name: exact, at: 32", "measure: effrem, name: distance, at: 4",
        "measure: states, name: norm_at_end", "measure: states, name: deviation, at: 8"}) {
    EXPECT_EQ(problem(good), "");
  }
  EXPECT_EQ(problem("measure: txt"),
            "s:9: metric.measure: found 'txt', expected text, passkey, effrem, states");
  EXPECT_THAT(problem("measure: passkey"),
              HasSubstr("metric.name: found 'loss', expected accuracy | exact | accuracy_at_end"));
  EXPECT_THAT(problem("measure: text, at: 65"), HasSubstr("metric.at: found 65, expected at most"));
  EXPECT_THAT(problem("measure: passkey, name: exact, at: 8"),
              HasSubstr("metric.at: found 8, expected one of 16, 32"));
  EXPECT_THAT(problem("measure: effrem, name: distance"), HasSubstr("metric.at: is not given"));
  EXPECT_THAT(problem("measure: states, name: norm"), HasSubstr("metric.at: is not given"));
  EXPECT_THAT(problem("measure: states, name: norm, at: 5"), HasSubstr("expected one of 1, 2, 4"));
  EXPECT_THAT(problem("measure: text, name: loss_at_end, at: 8"), HasSubstr("is given beside"));
  EXPECT_THAT(problem("measure: text, record: train"), HasSubstr("is given beside metric.measure"));
  EXPECT_THAT(problem("measure: passkey, name: exact, goal: minimize"),
              HasSubstr("metric.goal: found minimize, but of exact more is better"));
  EXPECT_THAT(problem("measure: text, name: perplexity_at_end, goal: maximize"),
              HasSubstr("metric.goal: found maximize, but of perplexity_at_end less is better"));
  EXPECT_EQ(problem("measure: effrem, name: distance, at: 4, goal: maximize"), "");
  EXPECT_THAT(problem("at: 8"), HasSubstr("is given without metric.measure"));
  EXPECT_THAT(problems(measures + "metric: {measure: text}\nhalving: {steps: [5]}\n"),
              ElementsAre(HasSubstr("halving.steps: is given, but metric.measure")));
  // What is wrong with a measure is not told twice.
  EXPECT_EQ(problems("measures: [copy: {trial: 2}]\nmetric: {measure: copy, name: exact}\n").size(),
            1u);
}

TEST(SweepMeasures, TheGoalIsTheMetricsOwnUnlessGiven) {
  const auto goal = [](const std::string& metric) {
    return parse_sweep_config("base: b\nfolder: f\nvalues: {optimizer.rate: [1]}\n" +
                                  std::string(kTwoMeasures) + "metric: {" + metric + "}\n",
                              "s")
        .metric.goal;
  };
  EXPECT_EQ(goal("measure: passkey, name: accuracy"), MetricGoal::kMaximize);
  EXPECT_EQ(goal("measure: text, name: accuracy_at_end"), MetricGoal::kMaximize);
  EXPECT_EQ(goal("record: evaluation, name: accuracy"), MetricGoal::kMaximize);
  EXPECT_EQ(goal("measure: text, name: perplexity"), MetricGoal::kMinimize);
  EXPECT_EQ(goal("name: loss"), MetricGoal::kMinimize);
}

TEST(SweepMeasures, NumbersOutOfFiles) {
  const fs::path file =
      fs::path(::testing::TempDir()) / ("longhaul_numbers_" + std::to_string(getpid()) + ".json");
  const auto found = [&](const MeasureConfig& measure, const std::string& name, int64_t at = 0) {
    return read_number(file, measure, {.name = name, .at = at});
  };
  eval::PositionCurve curve{.task = "recall", .length = 8, .sequences = 2};
  for (const eval::Bucket& edges : eval::log_buckets(8)) {
    curve.buckets.push_back({.begin = edges.begin,
                             .end = edges.end,
                             .count = edges.end < 8 ? 2 : 0,
                             .loss = static_cast<double>(edges.begin),
                             .accuracy = static_cast<double>(edges.begin) / 10});
  }
  curve.loss = 5;
  curve.perplexity = 7;
  curve.accuracy = std::numeric_limits<double>::quiet_NaN();
  eval::write_curve(file, curve);
  const MeasureConfig recall{.kind = "recall", .name = "", .words = {}};
  EXPECT_EQ(found(recall, "loss"), 5);
  EXPECT_EQ(found(recall, "perplexity"), 7);
  EXPECT_EQ(found(recall, "accuracy"), std::nullopt);
  EXPECT_EQ(found(recall, "loss", 4), 3);  // the bucket [3, 4)
  EXPECT_EQ(found(recall, "loss", 5), 4);
  EXPECT_EQ(found(recall, "accuracy_at_end"), 0.4);  // of the last one with labels, [4, 6)
  EXPECT_EQ(found(recall, "loss", 8), std::nullopt);

  eval::TaskResult task{.task = "babilong"};
  for (const char* part : {"qa1", "qa2"}) {
    for (const int64_t length : {8, 16}) {
      const double accuracy = (part[2] - '0') * static_cast<double>(length) / 100;
      for (const double high : {1.0, 0.2}) {
        task.cells.push_back({.part = part,
                              .length = length,
                              .depth_low = 0,
                              .depth_high = high,
                              .trials = 10,
                              .accuracy = high < 1 ? 0 : accuracy,
                              .exact = accuracy / 2});
      }
    }
  }
  eval::write_task_result(file, task);
  const MeasureConfig babilong{.kind = "babilong", .name = "", .words = {}};
  EXPECT_NEAR(found(babilong, "accuracy", 16).value(), 0.24, 1e-12);
  EXPECT_NEAR(found(babilong, "exact_at_end").value(), 0.12, 1e-12);
  EXPECT_NEAR(found(babilong, "accuracy").value(), 0.18, 1e-12);
  EXPECT_EQ(found(babilong, "accuracy", 9), std::nullopt);
  EXPECT_THROW(found(recall, "loss"), core::InputError);
  fs::remove(file);
}

}  // namespace
}  // namespace longhaul::launch
