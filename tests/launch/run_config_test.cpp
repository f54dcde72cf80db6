// Rules across fields, overrides, printing and hashing of a run's configuration.
#include "launch/run_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "kernels/core/error.h"
#include "launch/field_list.h"
#include "launch/run_rules.h"

namespace longhaul::launch {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const char* const kText = "model:\n  from: base\ndata:\n  folder: tokens\nrun:\n  folder: out\n";
const char* const kScratch =
    "model:\n  shape: {width: 96}\ndata: {kind: recall, length: 64, sequences: 24}\n"
    "run:\n  folder: out\n";

std::vector<std::string> problems_of(const std::string& yaml,
                                     const std::vector<std::string>& overrides = {}) {
  try {
    parse_run_config(yaml, "run.yaml", overrides);
  } catch (const core::InputError& error) {
    return error.problems();
  }
  return {};
}

std::vector<std::string> world_problems(const std::vector<std::string>& overrides, int64_t ranks) {
  try {
    check_against_world(parse_run_config(kText, "run.yaml", overrides), ranks);
  } catch (const core::InputError& error) {
    return error.problems();
  }
  return {};
}

TEST(RunConfig, DefaultsAreThoseOfTheStructs) {
  const RunConfig config = parse_run_config(kText, "run.yaml");
  EXPECT_EQ(config.model.from, "base");
  EXPECT_EQ(config.data.folder, "tokens");
  EXPECT_EQ(config.data.batch.length, trainer::BatchConfig{}.length);
  EXPECT_EQ(config.optimizer.rate, trainer::OptimizerConfig{}.rate);
  EXPECT_TRUE(std::isinf(config.model.shape.dt_high));
}

TEST(RunConfig, OverridesReplaceAddAndAreTypedAlike) {
  const RunConfig config = parse_run_config(
      kScratch, "run.yaml",
      {"model.shape.width=128", "optimizer.rate=2e-4", "run.folder=runs/a=b: #c",
       "initial_state.source=tbtt", "model.shape.tied=false", "data.recall.keys=99"});
  EXPECT_EQ(config.model.shape.width, 128);
  EXPECT_EQ(config.optimizer.rate, 2e-4);
  EXPECT_EQ(config.run.folder, "runs/a=b: #c");
  EXPECT_EQ(config.initial_state.source, trainer::SourceKind::kTbtt);
  EXPECT_FALSE(config.model.shape.tied);
  EXPECT_EQ(config.data.recall.keys, 99);
  EXPECT_EQ(config.data.batch.sequences, 24);  // untouched
}

TEST(RunConfig, RecallWithoutQueriesHasNothingToAnswer) {
  EXPECT_THAT(problems_of(kScratch, {"data.recall.query_fraction=0"}),
              ElementsAre(HasSubstr("data.recall.query_fraction: must be above 0")));
}

TEST(RunConfig, AnOverrideHealsABadValue) {
  EXPECT_THAT(problems_of(std::string(kText) + "schedule: {steps: many}\n", {"schedule.steps=60"}),
              ElementsAre());
}

TEST(RunConfig, OverrideOfAnAliasedSectionLeavesTheOtherAlone) {
  // `recall` and `optimizer` share nothing but the anchor; keys of one are unknown in the other.
  const auto problems = problems_of(
      "model: {from: b}\ndata: {folder: t}\nrun: &x {folder: out}\n"
      "evaluation: *x\n",
      {"run.seed=3"});
  EXPECT_THAT(problems, ElementsAre());  // a `seed` in evaluation would be unknown
}

TEST(RunConfig, BadOverrides) {
  EXPECT_THAT(problems_of(kText, {"nonsense"}),
              ElementsAre("command line: found 'nonsense', expected key.path=value"));
  EXPECT_THAT(problems_of(kText, {"=3"}),
              ElementsAre("command line: found '=3', expected key.path=value"));
  EXPECT_THAT(problems_of(kText, {"optimizer.raet=1"}),
              ElementsAre("command line: optimizer.raet: unknown key (did you mean rate?)"));
  EXPECT_THAT(problems_of(kText, {"run.seed=1", "run.seed=2"}),
              ElementsAre("command line: run.seed: is given twice"));
  EXPECT_THAT(problems_of(kText, {"run.seed.more=2"}),
              ElementsAre(HasSubstr("command line: run.seed")));
  EXPECT_THAT(problems_of(kText, {"run.folder.more=2"}),
              ElementsAre("command line: run.folder.more: 'run.folder' is no section"));
  EXPECT_THAT(problems_of(kText, {"run.folder=\"open"}), ElementsAre(HasSubstr("is not YAML")));
  EXPECT_THAT(problems_of(kText, {"schedule="}), ElementsAre(HasSubstr("expected a section")));
}

struct Combination {
  const char* name;
  std::vector<std::string> overrides;
  const char* expected;
};
void PrintTo(const Combination& combination, std::ostream* out) { *out << combination.name; }
class ImpossibleCombinations : public ::testing::TestWithParam<Combination> {};
TEST_P(ImpossibleCombinations, AreRefusedOnText) {
  EXPECT_THAT(problems_of(kText, GetParam().overrides),
              ElementsAre(HasSubstr(GetParam().expected)));
}
INSTANTIATE_TEST_SUITE_P(
    Launch, ImpossibleCombinations,
    ::testing::Values(
        Combination{"from_and_shape", {"model.shape.width=64"}, "model.shape: is given beside"},
        Combination{"neither", {"model.from="}, "run.yaml:1: model: neither model.from"},
        Combination{"no_folder", {"data.folder="}, "command line: data.folder: is not given"},
        Combination{
            "recall_with_folder", {"data.kind=recall"}, "run.yaml:4: data.folder: is given"},
        Combination{"accumulation", {"data.accumulation=3"}, "data.accumulation: must divide"},
        Combination{"warmup", {"schedule.warmup=501"}, "schedule.warmup: must be at most"},
        Combination{"decay",
                    {"schedule.kind=wsd", "schedule.decay_steps=451"},
                    "schedule.decay_steps: must be at most the 450"},
        Combination{
            "sequence_ranks", {"parallel.sequence=129"}, "parallel.sequence: a sequence of"},
        Combination{"segments", {"data.segments=129"}, "data.segments: a sequence of 128"},
        Combination{"segments_of_ranks",
                    {"data.segments=65", "parallel.sequence=2"},
                    "parallel.sequence: a sequence of 128"},
        Combination{"reset_without_tbtt",
                    {"initial_state.reset_at_documents=true"},
                    "reset_at_documents: is for initial_state.source tbtt only"},
        Combination{"graphs_on_the_cpu",
                    {"run.device=cpu", "parallel.cuda_graphs=true"},
                    "parallel.cuda_graphs: is there for cuda only"},
        Combination{"fp64_on_cuda", {"run.device=cuda", "run.dtype=fp64"}, "run.dtype: fp64"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(RunConfig, SizesThatWouldOverflowAreRefused) {
  for (const std::string override :
       {"parallel.bucket_mib=-1", "parallel.bucket_mib=1e18", "checkpoint.shard_mib=1e18",
        "data.sequences=4000000", "data.length=9000000000000000000", "parallel.bucket_mib=1e-4"}) {
    const std::string key = override.substr(0, override.find('='));
    EXPECT_THAT(problems_of(kScratch, {override}),
                Contains(StartsWith("command line: " + key + ": must be ")));
  }
  for (const std::string key : {"data.recall.keys", "data.recall.values"}) {
    EXPECT_THAT(problems_of(kScratch, {key + "=9000000000000000000"}),
                ElementsAre(StartsWith("command line: " + key + ": must be at most ")));
  }
  EXPECT_THAT(problems_of(kScratch, {"data.accumulation=0", "data.segments=0"}),
              ElementsAre(HasSubstr("data.accumulation: must be at least 1"),
                          HasSubstr("data.segments: must be at least 1")));
  EXPECT_THAT(problems_of(kScratch, {"data.sequences=1000000", "data.length=1000000"}),
              Contains(HasSubstr("data.length: data.sequences times it must be at most 1e+11")));
}

TEST(RunConfig, RecallRules) {
  EXPECT_THAT(problems_of(kScratch, {"data.length=63"}),
              ElementsAre("command line: data.length: must be even for data.kind recall (pairs of "
                          "key and value), is 63"));
  EXPECT_THAT(problems_of(kScratch, {"data.recall.keys=31"}),
              ElementsAre(HasSubstr("data.recall.keys: must be more than data.recall.reach (31)")));
  EXPECT_THAT(
      problems_of(kScratch, {"initial_state.source=tbtt", "initial_state.reset_at_documents=true"}),
      ElementsAre(HasSubstr("recall has no documents")));
}

TEST(RunConfig, ShapeRulesCarryTheirLine) {
  EXPECT_THAT(
      problems_of("model:\n  shape:\n    heads: 4\n    groups: 3\ndata: {folder: t}\n"
                  "run: {folder: o}\n"),
      ElementsAre(StartsWith("run.yaml:3: model.shape.heads: must be a multiple of groups")));
}

TEST(RunConfig, WorldRules) {
  EXPECT_THAT(world_problems({}, 1), ElementsAre());
  EXPECT_THAT(world_problems({}, 8), ElementsAre());
  EXPECT_THAT(world_problems({"parallel.sequence=2", "parallel.data=4"}, 8), ElementsAre());
  EXPECT_THAT(world_problems({}, 3), ElementsAre(StartsWith("data.sequences: found 8, expected a "
                                                            "multiple of data ranks")));
  EXPECT_THAT(world_problems({"data.accumulation=4"}, 4), ElementsAre(HasSubstr("(4 × 4)")));
  EXPECT_THAT(world_problems({"parallel.sequence=3"}, 4),
              ElementsAre("parallel.sequence: must divide the 4 ranks started, is 3"));
  EXPECT_THAT(world_problems({"parallel.sequence=8"}, 4), ElementsAre(HasSubstr("must divide")));
  EXPECT_THAT(world_problems({"parallel.data=3"}, 4),
              ElementsAre(AllOf(HasSubstr("parallel.data: found 3"),
                                HasSubstr("parallel.data=0 takes as many as there are"))));
  EXPECT_THAT(world_problems({"parallel.data=4611686018427387904", "parallel.sequence=4"}, 4),
              ElementsAre(HasSubstr("parallel.data")));  // the product would overflow
}

// Every field away from its default, so that one that is not written or not read shows.
struct Changer {
  int count = 0;
  template <class T>
  void field(const char*, T& value, const char*) {
    ++count;
    if constexpr (std::is_same_v<T, bool>) {
      value = !value;
    } else if constexpr (std::is_enum_v<T>) {
      value = static_cast<T>(value == static_cast<T>(1) ? 0 : 1);
    } else if constexpr (std::is_same_v<T, std::string>) {
      value = "t\"e\\x:t # ü\n\t" + std::to_string(count);
    } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      value = {"a: b", std::to_string(count)};
    } else if constexpr (std::is_same_v<T, double>) {
      value = 0.1 + 1.0 / (3 + count);
    } else {
      value = value + 1 + count;
    }
  }
  template <class T, class Rule>
  void field(const char* name, T& value, const char* help, const Rule& rule) {
    const T before = value;
    field(name, value, help);
    if (!rule(value).empty()) value = before;
  }
  template <class S>
  void section(const char*, S& nested) {
    nested.visit(*this);
  }
};

std::vector<std::string> values_of(RunConfig config) {
  FieldList list;
  config.visit(list);
  std::vector<std::string> values;
  for (const auto& field : list.fields()) values.push_back(field.path + "=" + field.value);
  return values;
}

RunConfig changed_config() {
  RunConfig config;
  Changer changer;
  config.visit(changer);
  config.model.from = "";
  config.model.shape.architecture = model::Architecture::kMamba2;
  config.model.shape.dt_rank = 0;  // of Mamba-1
  config.model.shape.heads = 6;
  config.model.shape.groups = 3;
  config.model.shape.dt_low = 0.05;
  config.model.shape.dt_high = 0.3;
  config.model.shape.dt_min = 1e-5;
  config.model.shape.a_low = 1.0 / 3;
  config.model.shape.a_high = 2.5;
  config.data.kind = DataKind::kTokens;
  config.data.tokenizer = "";
  config.data.batch.length = 4096;
  config.data.batch.sequences = 8;
  config.data.batch.accumulation = 4;
  config.data.batch.segments = 3;
  config.parallel.sequence = 2;
  config.schedule.steps = 700;
  config.initial_state.source = trainer::SourceKind::kTbtt;
  config.run.dtype = DTypeChoice::kF64;
  config.run.device = DeviceChoice::kCpu;
  config.parallel.cuda_graphs = false;  // not on the cpu
  return config;
}

TEST(RunConfig, YamlRoundTripOfEveryField) {
  const RunConfig config = changed_config();
  const std::string yaml = to_yaml(config);
  EXPECT_EQ(values_of(parse_run_config(yaml, "resolved")), values_of(config)) << yaml;
}

TEST(RunConfig, YamlRoundTripOfDefaults) {
  for (const char* yaml : {kText, kScratch}) {
    const RunConfig config = parse_run_config(yaml, "run.yaml");
    const RunConfig again = parse_run_config(to_yaml(config), "resolved");
    EXPECT_EQ(values_of(again), values_of(config));
    EXPECT_EQ(to_yaml(again), to_yaml(config));
  }
}

TEST(RunConfig, YamlHasTheHelpOfEveryField) {
  const RunConfig config = parse_run_config(kScratch, "run.yaml");
  RunConfig copy = config;
  FieldList list;
  copy.visit(list);
  const std::string yaml = to_yaml(config);
  for (const auto& field : list.fields()) EXPECT_THAT(yaml, HasSubstr(field.help));
}

// Changes one field, counted in the order of the visit.
struct ChangeOne {
  int target = 0;
  int at = 0;
  Changer changer;
  template <class T>
  void field(const char* name, T& value, const char* help) {
    if (at++ == target) changer.field(name, value, help);
  }
  template <class T, class Rule>
  void field(const char* name, T& value, const char* help, const Rule&) {
    field(name, value, help);
  }
  template <class S>
  void section(const char*, S& nested) {
    nested.visit(*this);
  }
};

// One field at a time: the hash follows it exactly if it is part of the computation.
TEST(RunConfig, HashFollowsEveryFieldOfTheComputation) {
  const RunConfig base = parse_run_config(kScratch, "run.yaml");
  const auto before = values_of(base);
  FieldList list;
  RunConfig copy = base;
  copy.visit(list);
  int fields = 0;
  for (const auto& listed : list.fields()) {
    if (listed.is_section) continue;
    RunConfig changed = base;
    ChangeOne one{.target = fields++, .at = 0, .changer = {}};
    changed.visit(one);
    ASSERT_NE(values_of(changed), before) << listed.path << " was not changed by the test";
    const std::string& path = listed.path;
    const std::set<std::string> rounding{"parallel.data", "parallel.sequence", "parallel.exchange",
                                         "run.device"};
    const std::set<std::string> free{"run.folder",
                                     "run.log_every",
                                     "data.folder",
                                     "data.tokenizer",
                                     "data.other_tokenizer",
                                     "data.skip_bad_rows",
                                     "data.recompute",
                                     "data.babilong.stories",
                                     "data.babilong.prompts",
                                     "model.from",
                                     "data.babilong.test_stories"};
    const bool is_speed = path.rfind("parallel.", 0) == 0 && path != "parallel.gradient";
    const bool outside = rounding.contains(path) || free.contains(path) || is_speed ||
                         path.rfind("checkpoint.", 0) == 0 || path.rfind("evaluation.", 0) == 0;
    EXPECT_EQ(rounding_differences(base, changed), rounding.contains(path)
                                                       ? std::vector<std::string>{path}
                                                       : std::vector<std::string>{});
    if (path == "model.from") {  // takes the shape out of the hash and of the comparison
      EXPECT_TRUE(computation_differences(base, changed).empty());
      continue;
    }
    EXPECT_EQ(computation_hash(changed) == computation_hash(base), outside) << path;
    EXPECT_EQ(computation_differences(base, changed),
              outside ? std::vector<std::string>{} : std::vector<std::string>{path});
  }
  EXPECT_GT(fields, 50);
}

TEST(RunConfig, HashOfThisTextIsTheSameOnEveryMachine) {
  EXPECT_EQ(computation_hash(parse_run_config(kScratch, "a")),
            computation_hash(parse_run_config(std::string(kScratch) + "# comment\n", "b")));
}

TEST(RunConfig, UnreadableFiles) {
  const auto file = std::filesystem::path(::testing::TempDir()) / "longhaul_run_config_test.yaml";
  EXPECT_THROW(read_run_config("/nonexistent/run.yaml"), core::InputError);
  EXPECT_THROW(read_run_config(::testing::TempDir()), core::InputError);  // a folder
  EXPECT_THROW(read_run_config("/dev/zero"), core::InputError);           // endless
  std::ofstream(file) << kText;
  EXPECT_EQ(read_run_config(file.string()).model.from, "base");
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace longhaul::launch
