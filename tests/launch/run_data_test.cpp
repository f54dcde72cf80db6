// What a run's data are refused for before it starts, and what its evaluations read.
#include "launch/run_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "launch/task_data.h"
#include "tests/launch/program.h"

namespace longhaul::launch {
namespace {

class RunDataOfProgram : public Program {
 protected:
  /// `train` and `train --dry-run` with `overrides` both refuse, saying `words`.
  void expect_no_run(const std::string& overrides, const std::string& words) {
    for (const char* dry : {"", " --dry-run"}) {
      expect_refused("train run.yaml " + overrides + dry, words);
      EXPECT_FALSE(std::filesystem::exists(folder_ / "run/metrics.jsonl")) << overrides;
    }
  }
};

TEST_F(RunDataOfProgram, TextThatIsTooShort) {
  write("text.txt", std::string(300, 'a'));
  ASSERT_EQ(run("tokenize --out tokens text.txt").exit_code, 0);
  write("run.yaml", std::string(kRecall) + "evaluation: {every: 100, length: 32, sequences: 2}\n");
  const std::string text = "data.kind=tokens data.folder=tokens ";
  expect_no_run(text + "data.length=1000", "has 301 tokens, expected at least 1001");
  expect_no_run(text + "evaluation.length=1000", "has 301 tokens, expected at least 1001");
  EXPECT_EQ(run("train run.yaml " + text).exit_code, 0);
  // Of sequences that share no token only nine fit.
  write("few.yaml", std::string(kRecall) + "evaluation: {every: 100, length: 32, sequences: 16}\n");
  EXPECT_EQ(run("train few.yaml run.folder=few " + text).exit_code, 0);
}

TEST_F(RunDataOfProgram, OtherTokensThanARunHasReadAreNamed) {
  write("text.txt", std::string(300, 'a'));
  ASSERT_EQ(run("tokenize --out tokens text.txt").exit_code, 0);
  write("run.yaml", std::string(kRecall) + "initial_state: {source: state_passing}\n");
  const std::string train = "train run.yaml data.kind=tokens data.folder=tokens ";
  ASSERT_EQ(run(train + "--until 2").exit_code, 75);
  write("text.txt", std::string(300, 'b'));
  std::filesystem::remove_all(folder_ / "tokens");
  ASSERT_EQ(run("tokenize --out tokens text.txt").exit_code, 0);
  const Result resumed = run(train + "--resume");
  EXPECT_EQ(resumed.exit_code, 2);
  EXPECT_THAT(resumed.err, ::testing::HasSubstr("data.folder: tokens holds other tokens"));
}

TEST_F(RunDataOfProgram, PromptsThatDoNotFit) {
  write("run.yaml", std::string(kRecall) + "evaluation: {every: 100}\n");
  const std::string passkey = "data.kind=passkey ";
  expect_no_run(passkey + "data.length=20", "passkey task: needs at least");
  expect_no_run(passkey + "data.length=300 evaluation.length=20", "passkey task: needs at least");
}

TEST_F(RunDataOfProgram, EvaluationsOfBabilongAskTestStories) {
  write("text.txt", std::string(3000, 'a'));
  ASSERT_EQ(run("tokenize --out tokens text.txt").exit_code, 0);
  std::filesystem::create_directories(folder_ / "stories");
  write("stories/qa1_x_train.txt", "1 Ann is here.\n2 Where is Ann?\there\t1\n");
  write("stories/qa1_x_test.txt", "1 Ann is there.\n2 Where is Ann?\tthere\t1\n");
  const auto answer = [&](TaskData::Use use, const std::vector<std::string>& more = {}) {
    std::vector<std::string> overrides{"data.kind=babilong",
                                       "data.folder=" + (folder_ / "tokens").string(),
                                       "data.babilong.stories=" + (folder_ / "stories").string()};
    overrides.insert(overrides.end(), more.begin(), more.end());
    const RunConfig config = parse_run_config(kRecall, "run.yaml", overrides);
    const core::RandomKey key{1, 0, core::RandomPurpose::kEvaluation};
    return TaskData(config, config.data.file, use)
        .task()
        .example({.length = 2000, .with_answer = true, .key = key})
        .answer_text;
  };
  EXPECT_EQ(answer(TaskData::Use::kTraining), "here");
  EXPECT_EQ(answer(TaskData::Use::kEvaluation), "there");
  const std::string train = (folder_ / "stories/qa1_x_train.txt").string();
  const std::string others = "data.babilong.test_stories=[" + train + "]";
  EXPECT_EQ(answer(TaskData::Use::kEvaluation, {others}), "here");
  EXPECT_EQ(answer(TaskData::Use::kTraining, {others}), "here");
  const std::string nowhere = "evaluation.folder=" + (folder_ / "nowhere").string();
  EXPECT_NO_THROW(answer(TaskData::Use::kTraining, {nowhere}));
  EXPECT_ANY_THROW(answer(TaskData::Use::kEvaluation, {nowhere}));
}

TEST_F(RunDataOfProgram, EvaluationsOnWhatIsTrainedOnAreTold) {
  write("text.txt", std::string(3000, 'a'));
  ASSERT_EQ(run("tokenize --out tokens text.txt").exit_code, 0);
  std::filesystem::copy(folder_ / "tokens", folder_ / "copy");
  write("text.txt", std::string(3000, 'b'));
  ASSERT_EQ(run("tokenize --out other text.txt").exit_code, 0);
  std::filesystem::create_directories(folder_ / "stories");
  write("stories/qa1_x_train.txt", "1 Ann is here.\n2 Where is Ann?\there\t1\n");
  write("stories/qa1_x_test.txt", "1 Ann is there.\n2 Where is Ann?\tthere\t1\n");
  write("run.yaml", std::string(kRecall) + "evaluation: {every: 9, length: 2000, sequences: 1}\n");
  const auto told = [&](const std::string& overrides) {
    const Result result = run("train run.yaml --dry-run data.length=2000 " + overrides);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const std::string start = "\nevaluation     ";
    const size_t at = result.out.find(start);
    if (at == std::string::npos) return std::string();
    const size_t begin = at + start.size();
    return result.out.substr(begin, result.out.find('\n', begin) - begin);
  };
  const std::string trained = ", trained on: its numbers are not of unseen data; ";
  const std::string text = "data.kind=tokens data.folder=tokens ", hint = " can name held-out data";
  EXPECT_EQ(told(""), "") << "recall makes new sequences";
  EXPECT_EQ(told(text), "tokens" + trained + "evaluation.folder" + hint);
  EXPECT_EQ(told(text + "evaluation.every=0"), "");
  EXPECT_EQ(told(text + "evaluation.folder=copy"), "tokens" + trained + "evaluation.folder" + hint);
  EXPECT_EQ(told(text + "evaluation.folder=other"), "other: 3001 tokens, 1 documents");
  const std::string words = "data.kind=babilong data.folder=tokens data.babilong.stories=stories";
  EXPECT_EQ(told(words), "tokens" + trained + "evaluation.folder" + hint);
  EXPECT_EQ(told(words + " evaluation.folder=other"), "");
  EXPECT_EQ(told(words + "/qa1_x_train.txt"),
            "tokens and stories/qa1_x_train.txt" + trained +
                "evaluation.folder and data.babilong.test_stories" + hint);
}

}  // namespace
}  // namespace longhaul::launch
