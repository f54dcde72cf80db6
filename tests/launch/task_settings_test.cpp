// What a run's YAML says of tasks, whatever kinds there are.
#include "launch/task_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "launch/run_config.h"

namespace longhaul::launch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> problems_of(const std::string& yaml) {
  try {
    parse_run_config(yaml, "run.yaml");
  } catch (const core::InputError& error) {
    return error.problems();
  }
  return {};
}

TEST(TaskSettings, SayWhatTheyRead) {
  const std::string base = "model: {from: base}\nrun: {folder: out}\ndata: ";
  EXPECT_THAT(problems_of(base + "{kind: passkey, length: 512, tokenizer: byte}\n"), ElementsAre());
  EXPECT_THAT(problems_of(base + "{kind: babilong, folder: t, babilong: {stories: s, shots: 1}}\n"),
              ElementsAre());
  EXPECT_THAT(problems_of(base + "{kind: babilong, folder: t, babilong: {stories: [s, t]}}\n"),
              ElementsAre());
  EXPECT_THAT(problems_of(base + "{kind: keys, folder: t}\n"),
              ElementsAre(HasSubstr("tokens | recall | copy | passkey | babilong")));
  EXPECT_THAT(problems_of(base + "{kind: copy, length: 103}\n"), ElementsAre());
  EXPECT_THAT(
      problems_of(base + "{kind: copy, length: 102}\n"),
      ElementsAre(HasSubstr("data.length: must be at least 103 for strings of 50 letters")));
  EXPECT_THAT(problems_of(base + "{kind: copy, length: 512, copy: {shortest: 60}}\n"),
              ElementsAre(HasSubstr("data.copy.shortest: must be at most data.copy.longest (50)")));
  EXPECT_THAT(problems_of(base + "{kind: passkey, folder: t}\n"),
              ElementsAre(HasSubstr("data.folder: is given, but data.kind passkey makes its own")));
  EXPECT_THAT(problems_of(base + "{kind: copy, length: 512, tokenizer: byte}\n"),
              ElementsAre(HasSubstr("data.tokenizer: is given, but data.kind copy has no words")));
  EXPECT_THAT(problems_of(base + "{kind: babilong}\n"),
              ElementsAre(HasSubstr("data.folder: is not given"),
                          HasSubstr("data.babilong.stories: is not given")));
  EXPECT_THAT(
      problems_of(base + "{kind: passkey}\nevaluation: {folder: t}\ninitial_state: "
                         "{source: tbtt, reset_at_documents: true}\n"),
      ::testing::UnorderedElementsAre(HasSubstr("data.kind passkey is evaluated on its own task"),
                                      HasSubstr("data.kind passkey has no documents")));
}

TEST(TaskSettings, AreEachRunsOwn) {
  const std::string base =
      "model: {from: base}\nrun: {folder: out}\ndata: {kind: copy, length: 99, ";
  const RunConfig first = parse_run_config(base + "copy: {longest: 20}}\n", "run.yaml");
  RunConfig second = first;
  EXPECT_EQ(second.data.task()->longest_trained(99), 20);
  second = parse_run_config(base + "copy: {longest: 30}}\n", "run.yaml");
  EXPECT_EQ(first.data.task()->longest_trained(99), 20);
  EXPECT_EQ(second.data.task()->longest_trained(99), 30);
  EXPECT_EQ(RunConfig().data.task(), nullptr);
}

// As run.yaml of earlier programs has them: one text for a list.
TEST(TaskSettings, OneTextIsAListOfIt) {
  const RunConfig config = parse_run_config(
      "model: {from: base}\nrun: {folder: out}\ndata: {folder: t, kind: babilong, babilong: "
      "{stories: "
      "\"s\", prompts: \"\"}}\nevaluation: {stories: \"\"}\n",
      "run.yaml");
  const std::string yaml = to_yaml(config);
  EXPECT_THAT(yaml, HasSubstr("    stories: [\"s\"]  "));
  EXPECT_THAT(yaml, HasSubstr("\n  stories: []  "));
}

TEST(TaskSettings, HaveAKindOfDataEach) {
  const auto& names = enum_names(DataKind{});
  ASSERT_EQ(names.size(), 2 + task_kinds().size());
  for (size_t i = 0; i < task_kinds().size(); ++i) {
    DataSection data;
    data.kind = data_kind(names[2 + i]);
    EXPECT_EQ(data.task()->name(), task_kinds()[i]->name());
  }
}

TEST(TaskSettings, PathsAreKnown) {
  EXPECT_TRUE(is_path_of_task("data.babilong.stories"));
  EXPECT_FALSE(is_path_of_task("data.babilong.shots"));
  EXPECT_FALSE(is_path_of_task("data.copy.letters"));
  EXPECT_FALSE(is_path_of_task("data.folder"));
}

}  // namespace
}  // namespace longhaul::launch
