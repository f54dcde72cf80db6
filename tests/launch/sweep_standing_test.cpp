// Where a sweep stands, from folders written by hand: halving, retries, metrics, results.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "kernels/core/error.h"
#include "launch/sweep/standing.h"
#include "launch/sweep/sweep_report.h"
#include "launch/sweep/sweep_run.h"

namespace longhaul::launch {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::optional<double> kNone;

TEST(Survivors, TheBestShareRoundedUp) {
  const std::vector<bool> all(5, true);
  const std::vector<std::optional<double>> values{3, 1, 2, 5, 4};
  EXPECT_THAT(survivors(all, values, 0.5, MetricGoal::kMinimize),
              ElementsAre(true, true, true, false, false));
  EXPECT_THAT(survivors(all, values, 0.5, MetricGoal::kMaximize),
              ElementsAre(true, false, false, true, true));
  EXPECT_THAT(survivors(all, values, 0.6, MetricGoal::kMinimize),
              ElementsAre(true, true, true, false, false));
  EXPECT_THAT(survivors(all, values, 0.01, MetricGoal::kMinimize),
              ElementsAre(false, true, false, false, false));
}

TEST(Survivors, OnlyAmongTheLivingAndMissingValuesLast) {
  EXPECT_THAT(survivors({true, false, true, true}, {kNone, 1, 7, 7}, 0.5, MetricGoal::kMinimize),
              ElementsAre(false, false, true, true));
  EXPECT_THAT(survivors({true, true, true}, {kNone, 7, 7}, 0.3, MetricGoal::kMaximize),
              ElementsAre(false, true, false));
}

TEST(MetricAt, MeanOfTheLastStepsOrTheLastEvaluation) {
  std::vector<trainer::Record> records;
  for (int step = 1; step <= 6; ++step) {
    records.push_back({"train", step, 0, {{"loss", step}}, ""});
    if (step % 2 == 0) records.push_back({"evaluation", step, 0, {{"loss", 100 * step}}, ""});
  }
  const MetricConfig train{.window = 3};
  EXPECT_EQ(metric_at(records, train, 6), 5);
  EXPECT_EQ(metric_at(records, train, 4), 3);
  EXPECT_EQ(metric_at(records, train, 2), 1.5);  // fewer than the window
  EXPECT_EQ(metric_at(records, train, 0), kNone);
  const MetricConfig evaluation{.record = MetricRecord::kEvaluation};
  EXPECT_EQ(metric_at(records, evaluation, 5), 400);
  EXPECT_EQ(metric_at(records, {.name = "perplexity"}, 5), kNone);
  records.push_back({"train", 7, 0, {{"loss", NAN}}, ""});
  EXPECT_EQ(metric_at(records, train, 7), kNone);
}

/// Three recipes of two arms, 50 steps, halved at 10 and 20.
class SweepStanding : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              ("longhaul_standing_" + std::to_string(getpid()) +
               ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    std::ofstream(folder_ / "base.yaml")
        << "model: {shape: {width: 16}}\ndata: {kind: recall}\nschedule: {steps: 50, warmup: 1}\n";
    sweep_ = parse_sweep_config(
        "base: " + (folder_ / "base.yaml").string() + "\nfolder: " + (folder_ / "s").string() +
            "\nvalues: {optimizer.rate: [1, 2, 3]}\nseeds: [1, 2]\nretries: 1\n"
            "metric: {window: 1}\nhalving: {steps: [10, 20], keep: 0.5}\n",
        "sweep.yaml");
    list_ = expand_arms(sweep_);
    const SweepLock makes_the_folder(sweep_, "");
  }
  void TearDown() override { fs::remove_all(folder_); }

  /// The arm has trained to `step` with this loss there; `step` 50: done.
  void train(int rate, int seed, int step, double loss) {
    const fs::path arm = arm_folder(sweep_, name(rate, seed));
    fs::create_directories(arm / "checkpoints" / ("step-" + std::to_string(step)));
    std::ofstream(arm / "checkpoints" / ("step-" + std::to_string(step)) / "manifest.json") << "{}";
    std::ofstream(arm / "metrics.jsonl", std::ios::app)
        << "{\"kind\":\"train\",\"step\":\"" << step << "\",\"loss\":" << loss << "}\n";
    if (step < 50) return;
    fs::create_directories(arm / "model");
    std::ofstream(arm / "model" / "config.json") << "{}";
  }
  void fail(int rate, int seed, int times) {
    write_arm_record(record_file(sweep_, name(rate, seed)),
                     {.failures = times, .failure = "exit code 1"});
  }
  static std::string name(int rate, int seed) {
    return "rate=" + std::to_string(rate) + ",seed=" + std::to_string(seed);
  }
  /// "ARM→STEP" of what is to be done.
  std::vector<std::string> next() {
    std::vector<std::string> all;
    standing_ = read_standing(sweep_, list_);
    for (const Target& target : standing_.next) {
      all.push_back(target.arm->name + "→" + std::to_string(target.until));
    }
    return all;
  }
  /// Why the standing cannot be told, or "".
  std::string refusal() {
    try {
      next();
    } catch (const core::InputError& error) {
      return error.what();
    }
    return "";
  }

  fs::path folder_;
  SweepConfig sweep_;
  ArmList list_;
  Standing standing_;
};

TEST_F(SweepStanding, RoundsOfSuccessiveHalving) {
  EXPECT_EQ(next().size(), 6u);
  EXPECT_THAT(next()[5], "rate=3,seed=2→10");
  for (int rate : {1, 2, 3}) train(rate, 1, 10, rate);
  EXPECT_THAT(next(), ElementsAre("rate=1,seed=2→10", "rate=2,seed=2→10", "rate=3,seed=2→10"));
  train(1, 2, 10, 9);  // means 5, 1.5, 3
  train(2, 2, 10, 1);
  train(3, 2, 10, 3);
  EXPECT_THAT(next(), ElementsAre("rate=2,seed=1→20", "rate=2,seed=2→20", "rate=3,seed=1→20",
                                  "rate=3,seed=2→20"));
  EXPECT_THAT(standing_.ended_at, ElementsAre(10, 0, 0));
  for (int seed : {1, 2}) {
    train(2, seed, 20, 8);
    train(3, seed, 20, 2);
  }
  EXPECT_THAT(next(), ElementsAre("rate=3,seed=1→0", "rate=3,seed=2→0"));
  EXPECT_THAT(standing_.ended_at, ElementsAre(10, 20, 0));
  train(3, 1, 50, 1);
  train(3, 2, 50, 2);
  EXPECT_THAT(next(), IsEmpty());
  // What is known at the later steps changes no earlier decision.
  EXPECT_THAT(standing_.ended_at, ElementsAre(10, 20, 0));

  const auto results = sweep_results(sweep_, list_, standing_);
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(results[0].recipe->name, "rate=3");
  EXPECT_EQ(results[0].metric, 1.5);
  EXPECT_NEAR(results[0].deviation, std::sqrt(0.5), 1e-12);
  EXPECT_EQ(results[1].recipe->name, "rate=2");
  EXPECT_EQ(results[1].step, 20);
  EXPECT_EQ(results[2].recipe->name, "rate=1");
  EXPECT_THAT(recipe_table(sweep_, results), HasSubstr("rate=3   done    50   1.5   0.707107"));
  const std::string best = best_recipe_yaml(sweep_, results).value();
  const RunConfig config = parse_run_config(best, "best.yaml");
  EXPECT_EQ(config.optimizer.rate, 3);
  EXPECT_EQ(config.run.folder, (folder_ / "s/best").string());
}

TEST_F(SweepStanding, AnArmThatFailedIsTriedAgainThenLeftAlone) {
  fail(1, 1, 1);
  EXPECT_EQ(next().size(), 6u);
  fail(1, 1, 2);
  EXPECT_EQ(next().size(), 5u);
  EXPECT_TRUE(standing_.arms[0][0].has_failed);
  // Its recipe has no value: it is the first to end.
  for (int rate : {1, 2, 3}) {
    for (int seed : {1, 2}) {
      if (rate > 1 || seed > 1) train(rate, seed, 10, rate);
    }
  }
  next();
  EXPECT_THAT(standing_.ended_at, ElementsAre(10, 0, 0));
  const auto results = sweep_results(sweep_, list_, standing_);
  EXPECT_EQ(results[2].state, RecipeState::kFailed);
  EXPECT_EQ(best_recipe_yaml(sweep_, results), std::nullopt);
  EXPECT_THAT(arm_table(sweep_, list_, standing_), HasSubstr("last failure: exit code 1"));
  forget_failures(sweep_, list_);
  EXPECT_THAT(next(), ElementsAre("rate=1,seed=1→10"));
}

TEST_F(SweepStanding, AnArmWithWrongInputIsNotTriedAgain) {
  write_arm_record(record_file(sweep_, name(1, 1)),
                   {.failures = 1, .failure = "exit code 2", .is_final = true});
  EXPECT_EQ(next().size(), 5u);
  EXPECT_TRUE(standing_.arms[0][0].has_failed);
}

TEST_F(SweepStanding, AMetricThatTheArmsDoNotHaveIsToldOnceOneIsCompared) {
  sweep_.metric.name = "utilisation";
  train(1, 1, 5, 1);
  EXPECT_EQ(next().size(), 6u);
  train(1, 1, 10, 1);
  EXPECT_EQ(refusal(),
            "arm rate=1,seed=1: metric.name: found 'utilisation', which no train record has, "
            "expected one of loss");
  sweep_.halving.steps.clear();
  EXPECT_EQ(refusal(), "");
  train(1, 1, 50, 1);
  EXPECT_THAT(refusal(), HasSubstr("found 'utilisation'"));
}

TEST_F(SweepStanding, RecipesAreNotComparedWithoutAnyValue) {
  sweep_.metric.record = MetricRecord::kEvaluation;
  for (int rate : {1, 2, 3}) {
    for (int seed : {1, 2}) train(rate, seed, 10, rate);
  }
  EXPECT_THAT(refusal(), HasSubstr("no recipe has a finite loss of evaluation records at step 10"));
  for (int rate : {1, 2, 3}) fail(rate, 1, 2);  // nothing left to compare
  EXPECT_EQ(refusal(), "");
}

TEST_F(SweepStanding, ADoneRecipeWithoutAValueIsBehindOneWithIt) {
  sweep_.halving.steps.clear();
  for (int seed : {1, 2}) {
    train(1, seed, 50, 1);
    std::ofstream(fs::path(arm_folder(sweep_, name(1, seed))) / "metrics.jsonl", std::ios::app)
        << "{\"kind\":\"train\",\"step\":\"50\",\"loss\":\"NaN\"}\n";
    train(2, seed, 40, 7);
  }
  const auto results = sweep_results(sweep_, list_, read_standing(sweep_, list_));
  EXPECT_EQ(results[0].recipe->name, "rate=2");
  EXPECT_EQ(results[1].recipe->name, "rate=1");
  EXPECT_EQ(best_recipe_yaml(sweep_, results), std::nullopt);
}

TEST_F(SweepStanding, AStoredRecordThatIsNoneIsNamed) {
  const fs::path file = record_file(sweep_, "x");
  write_arm_record(file, {.failures = 3, .failure = "a \"b\"\n", .is_final = true});
  EXPECT_EQ(read_arm_record(file).failures, 3);
  EXPECT_TRUE(read_arm_record(file).is_final);
  EXPECT_EQ(read_arm_record(file).failure, "a \"b\"\n");
  for (const std::string text :
       {"", "{}", "nonsense", "{\"version\": 2, \"failures\": \"1\"}",
        "{\"version\": 1, \"failures\": \"-1\"}", "{\"version\": 1, \"failures\": \"many\"}"}) {
    std::ofstream(file) << text;
    try {
      read_arm_record(file);
      ADD_FAILURE() << text;
    } catch (const core::InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr("x.json: is not the record of an arm"));
    }
  }
}

TEST_F(SweepStanding, TheLastLinesOfALog) {
  EXPECT_THAT(last_log_lines(sweep_, "x"), IsEmpty());
  fs::create_directories(log_file(sweep_, "x").parent_path());
  std::ofstream(log_file(sweep_, "x")) << std::string(10000, 'x') << "\n1\n2\n\n3\n4\n\x1b[31m5";
  EXPECT_THAT(last_log_lines(sweep_, "x"), ElementsAre("1", "2", "3", "4", " [31m5"));
}

TEST_F(SweepStanding, TwoSweepsOfOneFolderDoNotCollide) {
  const auto refusal = [&](const std::string& arm) {
    try {
      const SweepLock lock(sweep_, arm);
    } catch (const core::InputError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  {
    const SweepLock lock(sweep_, "");
    EXPECT_THAT(refusal(""), HasSubstr("is running this sweep"));
    EXPECT_THAT(refusal("a"), HasSubstr("the sweep of process " + std::to_string(getpid())));
  }
  const SweepLock lock(sweep_, "a");
  EXPECT_THAT(refusal(""), HasSubstr("the arm a of process"));
  EXPECT_THAT(refusal("a"), HasSubstr("is running"));
  EXPECT_EQ(refusal("b"), "");
}

TEST_F(SweepStanding, AFolderThatHoldsSomethingElseIsLeftAlone) {
  fs::remove_all(sweep_.folder);
  fs::create_directories(sweep_.folder);
  std::ofstream(fs::path(sweep_.folder) / "thesis.tex") << "irreplaceable";
  EXPECT_THROW(SweepLock(sweep_, ""), core::InputError);
}

}  // namespace
}  // namespace longhaul::launch
