#include "trainer/progress_lines.h"

#include <gtest/gtest.h>

#include <cmath>
#include <sstream>
#include <string>
#include <vector>

namespace longhaul::trainer {
namespace {

std::vector<std::string> lines_of(const std::vector<Record>& records) {
  ::testing::internal::CaptureStdout();
  ProgressLines progress(0, 100);
  for (const Record& record : records) progress.show(record);
  std::istringstream text(::testing::internal::GetCapturedStdout());
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

Record record(int64_t step, double loss, double speed) {
  return {.kind = "train",
          .step = step,
          .tokens = 0,
          .values = {{"loss", loss},
                     {"gradient_norm", 0.5},
                     {"rate", 1e-3},
                     {"state_norm", 12.25},
                     {"tokens_per_second", speed}},
          .text = {}};
}

TEST(ProgressLines, HaveOneHeaderAndAlignedColumns) {
  const auto lines = lines_of({record(1, 5.25, 1000), record(100, 0.001, 12345678)});
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].size(), lines[1].size());
  EXPECT_EQ(lines[1].size(), lines[2].size());
  for (const auto& [title, first, second] : {std::tuple{"step", "1", "100"},
                                             {"loss", "5.2500", "0.0010"},
                                             {"grad norm", "0.5", "0.5"},
                                             {"tokens/s", "1000", "12345678"},
                                             {"util", "-", "-"}}) {
    const size_t end = lines[0].find(title) + std::string(title).size();
    EXPECT_TRUE(lines[1].substr(0, end).ends_with(std::string(" ") + first)) << lines[1];
    EXPECT_TRUE(lines[2].substr(0, end).ends_with(std::string(" ") + second)) << lines[2];
  }
  EXPECT_TRUE(lines[2].ends_with(" 0:00:00")) << lines[2];  // nothing left
}

TEST(ProgressLines, ShowEvaluationsBetweenTheSteps) {
  ::testing::internal::CaptureStdout();
  ProgressLines(0, 100).show_evaluation({.kind = "evaluation",
                                         .step = 20,
                                         .tokens = 0,
                                         .values = {{"loss", 1.23456}, {"accuracy", 0.5}},
                                         .text = {}});
  EXPECT_EQ(::testing::internal::GetCapturedStdout(),
            "      20  evaluation: loss 1.235, accuracy 0.5\n");
}

TEST(ProgressLines, ShowNumbersThatAreNotFinite) {
  const auto lines = lines_of({record(1, std::nan(""), 1e300)});
  EXPECT_NE(lines.at(1).find("nan"), std::string::npos);
}

}  // namespace
}  // namespace longhaul::trainer
