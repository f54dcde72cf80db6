// From a sweep's YAML to arms: expansion, constraints, names.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "kernels/core/error.h"
#include "launch/sweep/arms.h"

namespace longhaul::launch {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SweepArms : public ::testing::Test {
 protected:
  void SetUp() override {
    base_ =
        fs::path(::testing::TempDir()) / ("longhaul_base_" + std::to_string(getpid()) + ".yaml");
    std::ofstream(base_) << "model: {shape: {width: 16}}\ndata: {kind: recall, sequences: 4}\n"
                            "schedule: {steps: 50, warmup: 1}\n";
  }
  void TearDown() override { fs::remove(base_); }

  SweepConfig parse(const std::string& yaml) const {
    return parse_sweep_config("base: " + base_.string() + "\nfolder: out\n" + yaml, "sweep.yaml");
  }
  std::vector<std::string> names(const std::string& yaml) const {
    std::vector<std::string> all;
    for (const Recipe& recipe : expand_arms(parse(yaml)).recipes) {
      for (const Arm& arm : recipe.arms) all.push_back(arm.name);
    }
    return all;
  }
  std::vector<std::string> problems(const std::string& yaml) const {
    try {
      expand_arms(parse(yaml));
    } catch (const core::InputError& error) {
      return error.problems();
    }
    return {};
  }

  fs::path base_;
};

TEST_F(SweepArms, GridIsEveryCombinationTheLastKeyFastest) {
  EXPECT_THAT(names("values: {optimizer.rate: [1e-3, 0.01], initial_state.source: [zero, tbtt]}\n"),
              ElementsAre("rate=0.001,source=zero", "rate=0.001,source=tbtt",
                          "rate=0.01,source=zero", "rate=0.01,source=tbtt"));
}

TEST_F(SweepArms, ArmsHaveTheirValuesSeedAndFolder) {
  const ArmList list = expand_arms(
      parse("values: {optimizer.rate: [1e-3], initial_state.source: [tbtt]}\nseeds: [4, 9]\n"
            "threads: 3\n"));
  ASSERT_EQ(list.recipes.size(), 1u);
  ASSERT_EQ(list.recipes[0].arms.size(), 2u);
  const Arm& arm = list.recipes[0].arms[1];
  EXPECT_EQ(arm.name, "rate=0.001,source=tbtt,seed=9");
  EXPECT_EQ(arm.config.optimizer.rate, 1e-3);
  EXPECT_EQ(arm.config.initial_state.source, trainer::SourceKind::kTbtt);
  EXPECT_EQ(arm.config.run.seed, 9);
  EXPECT_EQ(arm.config.run.folder, "out/arms/" + arm.name);
  EXPECT_EQ(arm.config.parallel.threads, 3);
  EXPECT_EQ(arm.config.data.batch.sequences, 4);  // the base's
}

TEST_F(SweepArms, ListIsTakenAsItIs) {
  EXPECT_THAT(names("search: list\narms:\n  - {optimizer.rate: 1e-3}\n"
                    "  - {optimizer.rate: 1e-4, data.length: 64}\n  - {}\n"),
              ElementsAre("rate=0.001", "rate=1e-04,length=64", "base"));
}

TEST_F(SweepArms, ConstraintsSeeEveryKeyAndExclude) {
  const std::string yaml =
      "values: {data.length: [32, 64, 128], data.sequences: [4, 8]}\n"
      "constraints: [data.length * data.sequences <= 512, \"optimizer.beta1 == 0.9\"]\n";
  EXPECT_THAT(names(yaml),
              ElementsAre("length=32,sequences=4", "length=32,sequences=8", "length=64,sequences=4",
                          "length=64,sequences=8", "length=128,sequences=4"));
  EXPECT_EQ(expand_arms(parse(yaml)).excluded, 1);
}

TEST_F(SweepArms, ConstraintsExcludeWhatTheRulesWouldRefuse) {
  const std::string yaml = "values: {data.sequences: [4, 3]}\nranks: 2\n";
  EXPECT_THAT(problems(yaml), Contains(AllOf(HasSubstr("arm sequences=3"), HasSubstr("data."))));
  EXPECT_THAT(names(yaml + "constraints: [data.sequences != 3]\n"), ElementsAre("sequences=4"));
}

TEST_F(SweepArms, NamesDependOnAnArmsOwnValuesAlone) {
  const auto few = names("values: {optimizer.rate: [1e-3]}\nseeds: [1]\n");
  const auto more = names("values: {optimizer.rate: [1, 0.001, 5]}\nseeds: [2, 1]\n");
  EXPECT_THAT(more, Contains(few[0]));
}

TEST_F(SweepArms, NamesAreFitForFilesAndStayDistinct) {
  EXPECT_EQ(recipe_name({{"a.b", "x_1.5"}, {"c", "-2"}}), "b=x_1.5,c=-2");
  const std::string slash = recipe_name({{"model.from", "runs/a"}});
  const std::string dash = recipe_name({{"model.from", "runs-a"}});
  EXPECT_EQ(dash, "from=runs-a");
  EXPECT_THAT(slash, ::testing::MatchesRegex("from=runs-a,[0-9a-f]+"));
  EXPECT_NE(recipe_name({{"a.x", "1"}, {"b.x", "2"}}), recipe_name({{"b.x", "1"}, {"a.x", "2"}}));
  const std::string longest(500, 'y');
  EXPECT_LT(recipe_name({{"k", longest}}).size(), 200u);
  EXPECT_NE(recipe_name({{"k", longest}}), recipe_name({{"k", longest + "z"}}));
  EXPECT_EQ(recipe_name({{"k", "../../etc"}}).find('/'), std::string::npos);
}

TEST_F(SweepArms, RandomDrawsStayInRangeAndRepeat) {
  const SweepConfig sweep = parse(
      "search: random\nsamples: 200\nseed: 3\nvalues:\n"
      "  optimizer.rate: {low: 1e-4, high: 1e-2, scale: log}\n"
      "  optimizer.decay: {low: 0, high: 0.5}\n"
      "  schedule.warmup: {low: 1.5, high: 4.5, whole: true}\n"
      "  initial_state.source: [zero, tbtt]\n");
  const ArmList list = expand_arms(sweep);
  ASSERT_EQ(list.recipes.size(), 200u);
  int low_half = 0;
  std::set<int64_t> warmups;
  std::set<std::string> sources;
  for (const Recipe& recipe : list.recipes) {
    const RunConfig& config = recipe.arms[0].config;
    EXPECT_GE(config.optimizer.rate, 1e-4);
    EXPECT_LE(config.optimizer.rate, 1e-2);
    low_half += config.optimizer.rate < 1e-3;
    EXPECT_LE(config.optimizer.decay, 0.5);
    warmups.insert(config.schedule.warmup);
    sources.insert(recipe.values[3].second);
  }
  // The middle of a logarithmic range is its geometric mean: 100 ± 5 σ.
  EXPECT_NEAR(low_half, 100, 36);
  EXPECT_THAT(warmups, ElementsAre(2, 3, 4));
  EXPECT_THAT(sources, ElementsAre("tbtt", "zero"));
  SweepConfig fewer = sweep;
  fewer.samples = 20;
  const ArmList beginning = expand_arms(fewer);
  for (size_t i = 0; i < 20; ++i) EXPECT_EQ(beginning.recipes[i].name, list.recipes[i].name);
  fewer.seed = 4;
  EXPECT_NE(expand_arms(fewer).recipes[0].name, list.recipes[0].name);
}

TEST_F(SweepArms, RandomDrawsThatAreTooFewAreSaid) {
  EXPECT_THAT(problems("search: random\nsamples: 5\nvalues: {optimizer.rate: [1, 2]}\n"),
              ElementsAre(HasSubstr("found 2 different recipes")));
  EXPECT_EQ(names("search: random\nsamples: 2\nvalues: {optimizer.rate: [1, 2]}\n").size(), 2u);
}

TEST_F(SweepArms, EqualAndImpossibleArmsAreNamedTogether) {
  EXPECT_THAT(problems("values: {optimizer.rate: [1e-3, 0.001, -1]}\n"),
              ElementsAre(HasSubstr("arm rate=0.001: is there twice"),
                          AllOf(HasSubstr("arm rate=-1: "), HasSubstr("optimizer.rate"))));
  EXPECT_THAT(problems("values: {optimizer.rate: [1]}\nconstraints: [optimizer.rate > 1]\n"),
              ElementsAre(HasSubstr("leave no arm")));
  EXPECT_THAT(problems("values: {optimizer.rate: [1]}\nconstraints: [optimiser.rate > 1]\n"),
              ElementsAre(HasSubstr("optimiser.rate is no key")));
}

TEST_F(SweepArms, TheMetricMustBeThereWhenRecipesAreCompared) {
  const std::string values = "values: {optimizer.rate: [1]}\nmetric: {record: evaluation}\n";
  EXPECT_THAT(problems(values), ElementsAre(HasSubstr("evaluation.every is 0")));
  EXPECT_THAT(problems("values: {evaluation.every: [10]}\nmetric: {record: evaluation}\n"
                       "halving: {steps: [15, 20, 50]}\n"),
              ElementsAre(HasSubstr("holds 15"), HasSubstr("holds 50")));
}

TEST(SweepConfig, HostileTextIsReportedTogether) {
  try {
    parse_sweep_config(
        "base: b.yaml\nsearch: grid\nvalues:\n  optimizer.rat: [1]\n  run.folder: [x]\n"
        "  optimizer.rate: 3\n  optimizer.decay: [[1], {}]\n  run.seed: [1]\nseeds: [1, 1]\n"
        "arms: []\nrank: 2\nhalving: {steps: [5, 5], keep: 1.5}\n"
        "slurm: {options: [\"--x\\ny\", echo]}\n",
        "s.yaml");
    FAIL();
  } catch (const core::InputError& error) {
    const auto& problems = error.problems();
    for (const char* text :
         {"s.yaml:4: optimizer.rat: is no key of a run's YAML (did you mean optimizer.rate?)",
          "s.yaml:5: run.folder: is set by the sweep", "s.yaml:6: optimizer.rate: found '3'",
          "s.yaml:7: optimizer.decay: found a list", "s.yaml:8: run.seed: is given beside",
          "s.yaml:9: seeds: holds a seed twice", "s.yaml:10: arms: is given, but",
          "s.yaml:11: rank: unknown key", "halving.steps: must rise", "halving.keep: must be from",
          "folder: is not given", "slurm.options: found"}) {
      EXPECT_THAT(problems, Contains(HasSubstr(text))) << error.what();
    }
  }
}

TEST(SweepConfig, AMistypedKeyIsOneProblem) {
  const auto problems = [](const std::string& text) -> core::Problems {
    try {
      parse_sweep_config("base: b\nfolder: f\n" + text, "s");
    } catch (const core::InputError& error) {
      return error.problems();
    }
    return {};
  };
  EXPECT_THAT(problems("valeus: {optimizer.rate: [1]}\n"),
              ElementsAre("s:3: valeus: unknown key (did you mean values?)"));
  EXPECT_THAT(problems("values: {optimizer.rat: [1]}\n"),
              ElementsAre(HasSubstr("s:3: optimizer.rat: is no key")));
  EXPECT_THAT(problems("values: {optimizer.rate: []}\n"),
              ElementsAre("s:3: optimizer.rate: found an empty list, expected a list of values"));
  EXPECT_THAT(problems("values: {}\n"), ElementsAre("s:3: values: is not given or empty"));
  EXPECT_THAT(problems(""), ElementsAre("s: values: is not given or empty"));
}

TEST(SweepConfig, AMetricIsOneThatRecordsHold) {
  const auto problem = [](const std::string& metric) -> std::string {
    try {
      parse_sweep_config(
          "base: b\nfolder: f\nvalues: {optimizer.rate: [1]}\nmetric: {" + metric + "}\n", "s");
    } catch (const core::InputError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(problem("name: lss"),
            "s:4: metric.name: found 'lss', expected loss | gradient_norm | rate | state_norm | "
            "skipped | tokens_per_second | data_seconds | utilisation (did you mean loss?)");
  EXPECT_EQ(problem("name: gradient_norm"), "");
  EXPECT_THAT(problem("record: evaluation, name: gradient_norm"),
              HasSubstr("expected loss | perplexity | accuracy | loss_at_end"));
  EXPECT_EQ(problem("record: evaluation, name: loss_at_end"), "");
}

TEST(SweepConfig, Ranges) {
  const auto problem = [](const std::string& range) -> std::string {
    try {
      parse_sweep_config(
          "base: b\nfolder: f\nsearch: random\nvalues: {optimizer.rate: " + range + "}\n", "s");
    } catch (const core::InputError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(problem("{low: 1, high: 2}"), "");
  EXPECT_THAT(problem("{low: 2, high: 1}"), HasSubstr("low below high"));
  EXPECT_THAT(problem("{low: 1}"), HasSubstr("low below high"));
  EXPECT_THAT(problem("{low: 0, high: 1, scale: log}"), HasSubstr("above 0"));
  EXPECT_THAT(problem("{low: 0, high: .inf}"), HasSubstr("finite"));
  EXPECT_THAT(problem("{low: 1.2, high: 1.8, whole: true}"), HasSubstr("whole number between"));
  EXPECT_THAT(problem("{low: 1, high: 2, step: 3}"), HasSubstr("step: unknown key"));
  EXPECT_THAT(problem("{low: one, high: 2}"), HasSubstr("low: found 'one'"));
}

}  // namespace
}  // namespace longhaul::launch
