// A sweep with evaluations: what is done when, and what is shown of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "eval/perplexity.h"
#include "kernels/core/error.h"
#include "launch/sweep/arm_command.h"
#include "launch/sweep/arm_pool.h"
#include "launch/sweep/standing.h"
#include "launch/sweep/sweep_report.h"
#include "launch/sweep/sweep_run.h"
#include "tests/launch/two_measures.h"

namespace longhaul::launch {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;

/// A sweep of one recipe with two seeds, 50 steps, and its measures.
class MeasuredSweep : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              ("longhaul_measures_" + std::to_string(getpid()) +
               ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    std::ofstream(folder_ / "base.yaml")
        << "model: {shape: {width: 16}}\ndata: {kind: recall}\nschedule: {steps: 50, warmup: 1}\n";
    read("seeds: [1, 2]\n" + std::string(kTwoMeasures) +
         "metric: {measure: text, name: perplexity}\n");
    const SweepLock makes_the_folder(sweep_, "");
  }
  void TearDown() override { fs::remove_all(folder_); }

  void read(const std::string& yaml) {
    sweep_ = parse_sweep_config(
        "base: " + (folder_ / "base.yaml").string() + "\nfolder: " + (folder_ / "s").string() +
            "\nvalues: {optimizer.rate: [" + rates_ + "]}\nretries: 1\n" + yaml,
        "sweep.yaml");
    list_ = expand_arms(sweep_);
  }
  const Arm& arm(int seed) { return list_.recipes[recipe_].arms[static_cast<size_t>(seed - 1)]; }
  void train(int seed, int step = 50) {
    const fs::path run = arm_folder(sweep_, arm(seed).name);
    const fs::path checkpoint = run / "checkpoints" / ("step-" + std::to_string(step));
    fs::create_directories(checkpoint);
    fs::create_directories(run / "model");
    std::ofstream(checkpoint / "manifest.json") << "{}";
    std::ofstream(run / "model" / "config.json") << "{}";
  }
  fs::path file(int seed, size_t measure) {
    return measure_file(sweep_, arm(seed), sweep_.measures[measure]);
  }
  /// As the pool does it.
  void measure(int seed, size_t number, double loss = 1) {
    begin_measure(sweep_, arm(seed), sweep_.measures[number]);
    fs::create_directories(file(seed, number).parent_path());
    if (number == 0) {
      eval::PositionCurve curve{.task = "text", .length = 64, .sequences = 2};
      curve.loss = loss;
      curve.perplexity = std::exp(loss);
      curve.buckets = {{.begin = 0, .end = 64, .count = 2, .loss = loss}};
      eval::write_curve(file(seed, 0), curve);
    } else {
      std::ofstream(file(seed, number)) << "{}";
    }
    end_measure(sweep_, arm(seed));
  }
  /// As the pool does it.
  void give_up(int seed, size_t number) {
    const MeasureConfig& measure = sweep_.measures.at(number);
    begin_measure(sweep_, arm(seed), measure);
    ArmRecord record = read_arm_record(record_file(sweep_, arm(seed).name));
    record.failures = 2;
    record.failure = measure.name + ": exit code 1";
    record.failed_measure = measure.name;
    write_arm_record(record_file(sweep_, arm(seed).name), record);
    give_up_measure(sweep_, arm(seed), measure);
  }
  /// "ARM→MEASURE", of what is to be trained "ARM→".
  std::vector<std::string> next() {
    std::vector<std::string> all;
    standing_ = read_standing(sweep_, list_);
    for (const Target& target : standing_.next) {
      all.push_back(target.arm->name + "→" +
                    (target.measure != nullptr ? target.measure->name : ""));
    }
    return all;
  }

  fs::path folder_;
  std::string rates_ = "1";
  size_t recipe_ = 0;  ///< that the functions above are of
  SweepConfig sweep_;
  ArmList list_;
  Standing standing_;
};

TEST_F(MeasuredSweep, WhatIsTrainedIsMeasuredAndWhatIsThereIsNotDoneAgain) {
  EXPECT_THAT(next(), ElementsAre("rate=1,seed=1→", "rate=1,seed=2→"));
  train(1);
  EXPECT_THAT(next(), ElementsAre("rate=1,seed=1→text", "rate=1,seed=2→"));
  measure(1, 0);
  EXPECT_THAT(next(), ElementsAre("rate=1,seed=1→passkey", "rate=1,seed=2→"));
  measure(1, 1);
  train(2);
  measure(2, 0);
  fs::create_directories(file(2, 1).parent_path());
  std::ofstream(file(2, 1)) << "{}";  // by hand: taken as it is
  EXPECT_THAT(next(), IsEmpty());
  EXPECT_EQ(sweep_results(sweep_, list_, standing_)[0].state, RecipeState::kDone);

  // Another measure is taken alone; other options of one have it taken again.
  read("seeds: [1, 2]\n" + std::string(kTwoMeasures) + "  - recall: {length: 64, sequences: 2}\n");
  EXPECT_THAT(next(), ElementsAre("rate=1,seed=1→recall", "rate=1,seed=2→recall"));
  EXPECT_EQ(sweep_results(sweep_, list_, standing_)[0].state, RecipeState::kOpen);
  read(
      "seeds: [1, 2]\nmeasures:\n"
      "  - perplexity: {data: tokens, length: 128, sequences: 2, no_states: true, name: text}\n");
  EXPECT_THAT(next(), ElementsAre("rate=1,seed=1→text", "rate=1,seed=2→text"));
  EXPECT_TRUE(fs::exists(file(1, 0)));
  std::ofstream(file(1, 0).string() + ".partial") << "of before";
  begin_measure(sweep_, arm(1), sweep_.measures[0]);
  EXPECT_FALSE(fs::exists(file(1, 0)));
  EXPECT_FALSE(fs::exists(file(1, 0).string() + ".partial"));
  std::ofstream(file(1, 0).string() + ".partial") << "goes on";
  begin_measure(sweep_, arm(1), sweep_.measures[0]);
  EXPECT_TRUE(fs::exists(file(1, 0).string() + ".partial"));
}

TEST_F(MeasuredSweep, AModelThatIsTrainedOnIsMeasuredAgain) {
  train(1);
  measure(1, 0);
  measure(1, 1);
  std::ofstream(folder_ / "base.yaml")
      << "model: {shape: {width: 16}}\ndata: {kind: recall}\nschedule: {steps: 90, warmup: 1}\n";
  read("seeds: [1]\n" + std::string(kTwoMeasures));
  EXPECT_THAT(next(), ElementsAre("rate=1,seed=1→"));
  train(1, 90);
  EXPECT_THAT(next(), ElementsAre("rate=1,seed=1→text"));
}

TEST_F(MeasuredSweep, AFailureIsOfItsMeasureAlone) {
  train(1);
  train(2);
  const auto fail = [&](const std::string& work) {
    ArmRecord record;
    record.failures = 2;
    record.failure = work + ": exit code 1";
    record.failed_measure = work;
    write_arm_record(record_file(sweep_, arm(1).name), record);
  };
  fail("");  // of training, which came to its end
  EXPECT_EQ(next().size(), 2u);
  fail("text");  // the other goes on
  EXPECT_THAT(next(), ElementsAre("rate=1,seed=1→passkey", "rate=1,seed=2→text"));
  EXPECT_THAT(arm_table(sweep_, list_, standing_), HasSubstr("last failure: text: exit code 1"));
  EXPECT_THAT(arm_table(sweep_, list_, standing_), Not(HasSubstr(" failed ")));
  measure(1, 1);
  fail("text");
  EXPECT_THAT(next(), ElementsAre("rate=1,seed=2→text"));
  EXPECT_THAT(arm_table(sweep_, list_, standing_), HasSubstr(" failed "));
  forget_failures(sweep_, list_);
  EXPECT_THAT(next(), ElementsAre("rate=1,seed=1→text", "rate=1,seed=2→text"));
}

TEST_F(MeasuredSweep, AllMeasuresAreTriedAndAllFailuresKept) {
  train(1);
  train(2);
  give_up(1, 0);
  EXPECT_THAT(next(), ElementsAre("rate=1,seed=1→passkey", "rate=1,seed=2→text"));
  give_up(1, 1);
  EXPECT_THAT(next(), ElementsAre("rate=1,seed=2→text"));
  EXPECT_TRUE(standing_.arms[0][0].has_failed);
  const ArmRecord record = read_arm_record(record_file(sweep_, arm(1).name));
  ASSERT_EQ(record.given_up.size(), 2u);
  EXPECT_EQ(record.given_up[0].failure, "text: exit code 1");
  EXPECT_EQ(record.given_up[1].failure, "passkey: exit code 1");
  // With other options it is another measure.
  std::string mended = kTwoMeasures;
  mended.replace(mended.find("16, 32"), 6, "16, 64");
  read("seeds: [1, 2]\n" + mended);
  EXPECT_THAT(next(), ElementsAre("rate=1,seed=1→passkey", "rate=1,seed=2→text"));
}

TEST_F(MeasuredSweep, RecipesAreRankedByTheNumber) {
  for (int seed : {1, 2}) {
    train(seed);
    measure(seed, 0, seed);
    measure(seed, 1);
  }
  EXPECT_THAT(next(), IsEmpty());
  const RecipeResult best = sweep_results(sweep_, list_, standing_)[0];
  EXPECT_NEAR(best.metric.value(), (std::exp(1.0) + std::exp(2.0)) / 2, 1e-9);
  EXPECT_NEAR(best.deviation, (std::exp(2.0) - std::exp(1.0)) / std::sqrt(2.0), 1e-9);
  EXPECT_THAT(recipe_table(sweep_, {best}), HasSubstr("perplexity (text)"));
  EXPECT_THAT(best_recipe_yaml(sweep_, {best}).value(), HasSubstr("perplexity (text) 5.05"));
}

TEST_F(MeasuredSweep, AFailedMeasureBesideTheMetricCostsNoRecipeItsPlace) {
  rates_ = "1, 2";
  read("seeds: [1]\n" + std::string(kTwoMeasures) + "metric: {measure: text, name: perplexity}\n");
  for (recipe_ = 0; recipe_ < 2; ++recipe_) {
    train(1);
    measure(1, 0, static_cast<double>(recipe_));
  }
  recipe_ = 0;
  give_up(1, 1);
  next();
  auto results = sweep_results(sweep_, list_, standing_);
  ASSERT_EQ(results[0].recipe->name, "rate=1");  // rate=2 is not measured to the end
  EXPECT_EQ(results[0].state, RecipeState::kFailed);
  EXPECT_EQ(results[0].metric, 1.0);
  EXPECT_THAT(results[0].failed_measures, ElementsAre("passkey"));
  recipe_ = 1;
  measure(1, 1);
  next();
  results = sweep_results(sweep_, list_, standing_);
  EXPECT_EQ(results[0].recipe->name, "rate=1");
  EXPECT_THAT(recipe_table(sweep_, results), AllOf(HasSubstr("rate=1  failed: passkey    50"),
                                                   HasSubstr("rate=2             done ")));
  EXPECT_THAT(best_recipe_yaml(sweep_, results).value(), HasSubstr("rate=1, perplexity (text) 1."));
  // Where it is the metric's measure that failed, there is nothing to rank by.
  fs::remove(file(1, 0));
  give_up(1, 0);
  next();
  results = sweep_results(sweep_, list_, standing_);
  EXPECT_EQ(results[1].recipe->name, "rate=2");
  EXPECT_FALSE(results[1].metric.has_value());
}

TEST_F(MeasuredSweep, AFailedMeasureChangesNoDecisionOfHalving) {
  rates_ = "1, 2";
  read("seeds: [1]\n" + std::string(kTwoMeasures) +
       "metric: {window: 1}\nhalving: {steps: [25], keep: 0.5}\n");
  for (recipe_ = 0; recipe_ < 2; ++recipe_) {
    train(1, recipe_ == 0 ? 50 : 25);
    std::ofstream(fs::path(arm_folder(sweep_, arm(1).name)) / "metrics.jsonl")
        << R"({"kind":"train","step":"25","loss":)" << recipe_ << "}\n";
  }
  recipe_ = 0;
  give_up(1, 0);
  give_up(1, 1);
  EXPECT_THAT(next(), IsEmpty());
  EXPECT_THAT(standing_.ended_at, ElementsAre(0, 25));
}

TEST_F(MeasuredSweep, StatusShowsWhatIsMeasured) {
  train(1);
  train(2);
  std::ofstream(fs::path(arm_folder(sweep_, arm(1).name)) / "run.yaml") << to_yaml(arm(1).config);
  const auto row = [&] {
    next();
    const std::string table = arm_table(sweep_, list_, standing_);
    return table.substr(table.find("\n") + 1, table.find("\n", table.find("\n") + 1));
  };
  EXPECT_THAT(row(), AllOf(HasSubstr(" trained "), HasSubstr("0/2")));
  begin_measure(sweep_, arm(1), sweep_.measures[0]);
  EXPECT_THAT(row(), HasSubstr(" trained "));  // whoever did it is gone
  {
    const SweepLock lock(sweep_, arm(1).name);
    EXPECT_THAT(row(), HasSubstr(" measuring "));
    end_measure(sweep_, arm(1));
    EXPECT_THAT(row(), HasSubstr(" trained "));
  }
  measure(1, 0);
  EXPECT_THAT(row(), HasSubstr("1/2"));
  measure(1, 1);
  EXPECT_THAT(row(), AllOf(HasSubstr(" done "), HasSubstr("2/2")));
}

TEST_F(MeasuredSweep, EvalIsStartedAsTheArmIs) {
  const Target target{.arm = &arm(2), .until = 0, .measure = &sweep_.measures[0]};
  const std::string run = arm_folder(sweep_, "rate=1,seed=2");
  const std::vector<std::string> words = arm_command(sweep_, target).words;
  EXPECT_EQ(words[1], "eval");
  EXPECT_EQ(words[2], "perplexity");
  EXPECT_THAT(words, IsSupersetOf({std::string("--length=64"), std::string("--device=auto"),
                                   std::string("--threads=1"), "--model=" + run + "/model",
                                   "--json=" + run + "/evaluation/text.json"}));
  sweep_.ranks = 2;
  EXPECT_NE(arm_command(sweep_, target).words[0], words[0]);
}

TEST_F(MeasuredSweep, WhatDoesNotSuitTheRunOrIsNotThereIsRefusedAtTheStart) {
  const auto refusals = [&](const std::string& yaml) -> core::Problems {
    read(yaml);
    try {
      check_measures(sweep_, list_);
    } catch (const core::InputError& error) {
      return error.problems();
    }
    return {};
  };
  EXPECT_THAT(refusals(kTwoMeasures), ElementsAre("measures.text: data: tokens is not there"));
  EXPECT_THAT(refusals("measures: [recall: {length: 8, sequences: 2}]\n"), IsEmpty());
  EXPECT_THAT(refusals("measures: [copy: {trials: 2}]\n"),
              ElementsAre(HasSubstr("measures.copy: ")));
  EXPECT_THAT(refusals("measures: [babilong: {lengths: 0}]\n"),
              ElementsAre("measures.babilong: --stories: is not given, and no run names stories"));
}

TEST_F(MeasuredSweep, AnArmTakesTheMemoryOfTrainingOrOfItsLargestMeasure) {
  const auto memory = [&](const std::string& measure) {
    read(measure.empty() ? "" : "measures: [" + measure + "]\n");
    return arm_memory(sweep_, list_);
  };
  const int64_t training = memory("");
  EXPECT_EQ(memory("recall: {length: 64, sequences: 1}"), training);
  const int64_t large = memory("recall: {length: 65536, sequences: 64, piece: 65536, batch: 64}");
  EXPECT_GT(large, 10 * training);
  // No more than there is to be read.
  EXPECT_EQ(memory("recall: {length: 65536, sequences: 64, piece: 99999, batch: 99}"), large);
  EXPECT_EQ(memory("recall: {length: 65536, sequences: 99, piece: 65536, batch: 64}"), large);
  EXPECT_EQ(memory("recall: {length: 65536, sequences: 1, piece: 65536, batch: 64}"),
            memory("recall: {length: 99999, sequences: 9, piece: 65536, batch: 1}"));
  EXPECT_EQ(memory("states: {length: 65536, sequences: 64, piece: 65536, batch: 64}"), large);
  // As many suffixes side by side as there are, in pieces as large together.
  EXPECT_NEAR(
      static_cast<double>(memory("effrem: {length: 9999999, sequences: 1, piece: 65536, batch: "
                                 "64}")) /
          static_cast<double>(large),
      1, 0.1);
  const std::string passkey = "passkey: {tokenizer: byte, piece: 65536, batch: 64, lengths: ";
  EXPECT_EQ(memory(passkey + "[9, 65536]}"), large);
  EXPECT_EQ(memory(passkey + "9}"), training);
  // Windows fill a piece side by side.
  EXPECT_NEAR(static_cast<double>(memory("perplexity: {data: tokens, length: 65536, sequences: 64, "
                                         "piece: 65536, batch: 64, window: 1024}")) /
                  static_cast<double>(large),
              1, 0.1);
  // Ranks that share a sequence share its pieces.
  sweep_.ranks = 2;
  sweep_.measures[0].words = {"--length=65536", "--sequences=64", "--piece=65536", "--batch=64"};
  const double apart = static_cast<double>(arm_memory(sweep_, list_));
  sweep_.measures[0].words.emplace_back("--sequence-ranks=2");
  EXPECT_NEAR(static_cast<double>(arm_memory(sweep_, list_)) / apart, 1.0, 0.2);
  EXPECT_NEAR(apart / static_cast<double>(large), 1.0, 0.1);
}

TEST_F(MeasuredSweep, SeedsAddedLaterKeepTheArmThatIsTrained) {
  const auto names = [&](const std::string& yaml) {
    read(yaml);
    std::vector<std::string> all;
    for (const Arm& one : list_.recipes[0].arms) all.push_back(one.name);
    return all;
  };
  EXPECT_THAT(names(""), ElementsAre("rate=1"));
  const int64_t seed = arm(1).config.run.seed;
  const std::string more =
      "seeds: [" + std::to_string(seed + 1) + ", " + std::to_string(seed) + "]";
  const std::string other = "rate=1,seed=" + std::to_string(seed + 1);
  const std::string own = "rate=1,seed=" + std::to_string(seed);
  EXPECT_THAT(names(more), ElementsAre(other, own));
  names("");
  fs::create_directories(arm_folder(sweep_, "rate=1"));
  std::ofstream(fs::path(arm_folder(sweep_, "rate=1")) / "run.yaml") << to_yaml(arm(1).config);
  EXPECT_THAT(names(more), ElementsAre(other, "rate=1"));
  EXPECT_EQ(arm(2).config.run.seed, seed);
  // And the other way round.
  fs::rename(arm_folder(sweep_, "rate=1"), arm_folder(sweep_, own));
  EXPECT_THAT(names(""), ElementsAre(own));
}

}  // namespace
}  // namespace longhaul::launch
