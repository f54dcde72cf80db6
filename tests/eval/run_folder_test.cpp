#include "eval/run_folder.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/core/error.h"
#include "tests/eval/scratch_folder.h"

namespace longhaul::eval {
namespace {

std::vector<std::string> problems_of(const std::string& metrics) {
  std::vector<std::string> missing;
  try {
    read_training(metrics, "metrics.jsonl", missing);
  } catch (const core::InputError& error) {
    return error.problems();
  }
  return {};
}

TEST(Metrics, EveryFormOfARecordIsRead) {
  std::vector<std::string> missing;
  const auto points = read_training(
      R"({"kind":"train","step":"1","tokens":"4096","values":{"loss":2.5,"gradient_norm":"NaN"}}
{"kind":"train","step":2,"tokens":8192,"loss":2.25}

{"kind":"evaluation","step":2,"values":{"loss":9}}
{"kind":"event","step":2,"text":"saved"}
{"kind":"train","step":3,"values":[{"name":"loss","value":2},{"name":"rate"}]}
)",
      "metrics.jsonl", missing);
  ASSERT_EQ(points.size(), 3u);
  EXPECT_EQ(points[0].tokens, 4096);
  EXPECT_EQ(points[0].values.at("loss"), 2.5);
  EXPECT_TRUE(std::isnan(points[0].values.at("gradient_norm")));
  EXPECT_EQ(points[1].step, 2);
  EXPECT_EQ(points[1].values.at("loss"), 2.25);
  EXPECT_EQ(points[2].values.at("loss"), 2);
  EXPECT_EQ(points[2].values.at("rate"), 0);
  EXPECT_TRUE(missing.empty());
}

TEST(Metrics, ATornLastLineIsLeftOutAndTold) {
  std::vector<std::string> missing;
  const auto points =
      read_training("{\"step\":1,\"loss\":3}\n{\"step\":2,\"lo", "metrics.jsonl", missing);
  EXPECT_EQ(points.size(), 1u);
  ASSERT_EQ(missing.size(), 1u);
  EXPECT_NE(missing[0].find("(2) is torn"), std::string::npos);
  // A whole last line counts though its line break is missing.
  EXPECT_EQ(read_training("{\"step\":1,\"loss\":3}", "m", missing).size(), 1u);
}

TEST(Metrics, GarbageIsNamedByFileAndLine) {
  const auto problems =
      problems_of("{\"step\":1}\nnonsense\n{\"step\":-1}\n[]\n{\"kind\":7}\n{\"step\":\"1e99\"}\n");
  ASSERT_EQ(problems.size(), 5u);
  EXPECT_EQ(problems[0], "metrics.jsonl:2: expected one JSON object, found 'nonsense'");
  EXPECT_EQ(problems[1].find("metrics.jsonl:3: \"step\" is not a count"), 0u) << problems[1];
  EXPECT_EQ(problems[2].find("metrics.jsonl:4: expected an object"), 0u) << problems[2];
  EXPECT_EQ(problems[3].find("metrics.jsonl:5: \"kind\""), 0u) << problems[3];
}

TEST(RunFolder, MissingPartsAreNamed) {
  const testing::ScratchFolder scratch;
  scratch.write("arm/metrics.jsonl", "{\"step\":1,\"loss\":3}\n");
  const RunFolder run = read_run_folder(scratch.path() / "arm" / "");
  EXPECT_EQ(run.name, "arm");
  EXPECT_EQ(run.missing,
            (std::vector<std::string>{"there is no run.yaml", "there is no evaluation/*.json"}));
}

TEST(RunFolder, NoRunAtAllIsRefused) {
  const testing::ScratchFolder scratch;
  EXPECT_THROW(read_run_folder(scratch.path() / "none"), core::InputError);
  EXPECT_THROW(read_run_folder(scratch.path()), core::InputError);
  scratch.write("arm/run.yaml", "a: 1\n");
  EXPECT_THROW(read_run_folder(scratch.path() / "arm"), core::InputError);
}

TEST(RunFolder, AllProblemsAreReportedTogether) {
  const testing::ScratchFolder scratch;
  scratch.write("arm/metrics.jsonl", "?\n");
  scratch.write("arm/run.yaml", "key\n");
  scratch.write("arm/evaluation/text.json", "?");
  try {
    read_run_folder(scratch.path() / "arm");
    FAIL();
  } catch (const core::InputError& error) {
    EXPECT_EQ(error.problems().size(), 3u) << error.what();
  }
}

}  // namespace
}  // namespace longhaul::eval
