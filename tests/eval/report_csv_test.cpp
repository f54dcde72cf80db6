// The report's numbers as tables for other programs.
#include "eval/report_csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "eval/csv.h"
#include "eval/seed_groups.h"
#include "eval/seeds.h"
#include "tests/eval/scratch_folder.h"

namespace longhaul::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Csv, TextsAreQuotedAndNumbersReadBackToThemselves) {
  CsvTable table({"name", "value"});
  EXPECT_TRUE(table.empty());
  table.add({"rate=1,source=\"tbtt\"", 0.1});
  table.add({"two\nlines", 1.0 / 3});
  table.add({"plain", int64_t{1} << 60});
  table.add({"", -std::numeric_limits<double>::quiet_NaN()});
  table.add({"", -std::numeric_limits<double>::infinity()});
  EXPECT_EQ(table.text(),
            "name,value\n\"rate=1,source=\"\"tbtt\"\"\",0.1\n\"two\nlines\",0.3333333333333333\n"
            "plain,1152921504606846976\n,nan\n,-inf\n");
}

RunFolder run(const std::string& seed, double loss) {
  RunFolder result;
  result.name = "seed-" + seed;
  result.training = {{.step = 1, .tokens = 8, .values = {{"loss", loss}}}};
  result.configuration = {{"optimizer.rate", "0.1"}, {"run.seed", seed}};
  PositionCurve curve{.task = "text", .length = 2, .sequences = 2};
  curve.buckets = {{.begin = 0, .end = 1, .count = 2, .loss = loss, .loss_error = 0.25},
                   {.begin = 1, .end = 2, .count = 0}};
  curve.states = {{.position = 2, .deviation = loss}};
  result.evaluations = {{.name = "books", .value = curve}};
  TaskResult task{.task = "babilong"};
  for (const char* part : {"qa1", "qa2"}) {
    task.cells.push_back(
        {.part = part, .length = 8, .trials = 4, .accuracy = part[2] == '1' ? 1.0 : 0.0});
  }
  result.tasks = {{.name = "babilong", .value = task}};
  return result;
}

TEST(ReportCsv, HoldsMeansAndEverySeed) {
  const longhaul::testing::ScratchFolder folder;
  const RunFolder mean = mean_of_seeds("a,b", {run("1", 1), run("2", 3)});
  write_report_csv(folder.path() / "csv", {mean, run("5", 2)}, {"a,b", "one"});
  const auto text = [&](const std::string& name) {
    return longhaul::testing::read_all(folder.path() / "csv" / (name + ".csv"));
  };
  const std::string accuracy = ",0,0,0\n";
  const auto row = [&](const std::string& begin, double loss, const std::string& error) {
    CsvTable table({"x"});
    table.add({std::exp(loss)});
    const std::string perplexity = table.text().substr(2, table.text().size() - 3);
    return begin + ",books,text,0,1," + (begin.starts_with("\"a,b\",,") ? "4," : "2,") +
           std::to_string(static_cast<int>(loss)) + "," + error + "," + perplexity + accuracy;
  };
  EXPECT_EQ(text("positions"),
            "arm,seed,seeds,evaluation,task,begin,end,count,loss,loss_error,perplexity,accuracy,"
            "accuracy_error,window\n" +
                row("\"a,b\",,2", 2, "1.4142135623730951") + row("\"a,b\",1,1", 1, "0.25") +
                row("\"a,b\",2,1", 3, "0.25") + row("one,5,1", 2, "0.25"));
  EXPECT_THAT(text("questions"), HasSubstr("one,5,1,babilong,babilong,qa1,8,0,1,4,1,"));
  EXPECT_THAT(text("questions"), HasSubstr("one,5,1,babilong,babilong,,8,0,1,8,0.5,"));
  EXPECT_THAT(text("states"), HasSubstr("\"a,b\",,2,books,2,0,2,1.4142135623730951,0\n"));
  EXPECT_EQ(text("training"), "arm,step,tokens,name,value\n\"a,b\",1,8,loss,2\none,1,8,loss,2\n");
  EXPECT_THAT(text("configurations"), HasSubstr("one,run.seed,5\n"));
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "csv" / "effrem.csv"));
}

TEST(ReportCsv, HoldsWhatElementsRememberWhereTheyDecayAlone) {
  const longhaul::testing::ScratchFolder folder;
  RunFolder run;
  StateStatistics states{.read = "text", .length = 8};
  states.heads = {
      {.layer = 0, .head = 1, .log_decay = -0.5, .log_decay_error = 0.25, .moments = {}},
      {.layer = 1, .head = 0, .log_decay = -2, .log_decay_error = 0.25, .moments = {}},
      {.layer = 2, .head = 0, .log_decay = -2, .log_decay_error = 0.25, .moments = {}}};
  states.heads[1].elements =
      ElementMemory{.shortest = 0.125, .median = 30, .longest = 900, .beyond = 0.5};
  states.heads[2].elements =
      ElementMemory{.shortest = 0.125, .median = 30, .longest = 900, .beyond = std::nan("")};
  run.states = {{.name = "states", .value = states}};
  write_report_csv(folder.path(), {run}, {"a"});
  EXPECT_EQ(longhaul::testing::read_all(folder.path() / "heads.csv"),
            "arm,seed,seeds,evaluation,layer,head,log_decay,log_decay_error,memory,"
            "shortest_memory,longest_memory,beyond\n"
            "a,,1,states,0,1,-0.5,0.25,2,,,\n"
            "a,,1,states,1,0,-2,0.25,30,0.125,900,0.5\n"
            "a,,1,states,2,0,-2,0.25,30,0.125,900,\n");
}

TEST(SeedGroups, ArmsOfASweepAreOneByRecipe) {
  const longhaul::testing::ScratchFolder folder;
  for (const char* name : {"r=1,seed=10", "r=1,seed=2", "r=2,seed=2", "r=1", "x/seed-1",
                           "other/r=1,seed=3", "s=1,seed=x"}) {
    std::filesystem::create_directories(folder.path() / name);
  }
  std::vector<std::filesystem::path> given;
  for (const char* name :
       {"r=1,seed=10", "x", "r=2,seed=2", "r=1,seed=2/", "r=1", "other/r=1,seed=3", "s=1,seed=x"}) {
    given.push_back(folder.path() / name);
  }
  std::vector<std::string> names;
  for (const SeedGroup& group : seed_groups(given)) {
    names.push_back(group.name + (group.is_mean ? " of" : ""));
    if (!group.is_mean) continue;
    for (const auto& run : group.folders) {
      const bool has_name = run.has_filename();
      names.back() += " " + (has_name ? run : run.parent_path()).filename().string();
    }
  }
  EXPECT_THAT(names, ElementsAre("r=1 of r=1 r=1,seed=2 r=1,seed=10", "x of seed-1", "r=2,seed=2",
                                 "r=1,seed=3", "s=1,seed=x"));
}

}  // namespace
}  // namespace longhaul::eval
