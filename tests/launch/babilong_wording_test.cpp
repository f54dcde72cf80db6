#include "launch/babilong_wording.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/data/scratch.h"

namespace longhaul::launch {
namespace {

using data::testing::problem_of;
using data::testing::Scratch;
using data::testing::write_file;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string problem(const std::string& text) {
  return problem_of([&] { parse_babilong_wording(text, "prompts.yaml"); });
}

TEST(BabilongWordingFile, SaysLayoutAnswerAndWordsOfATask) {
  const data::BabilongWording wording = parse_babilong_wording(
      "layout: \"{instruction}\\n\\n{examples}\\n<context>\\n{context}\\nQuestion: {question}\"\n"
      "answer: \"\\n{answer}\"\n"
      "qa1:\n"
      "  instruction: |-\n"
      "    Two lines\n"
      "    of it.\n"
      "  examples: [one, \"two\\nlines\"]\n"
      "  post_prompt: In a word.\n"
      "qa3: {examples: one text}\n",
      "prompts.yaml");
  EXPECT_EQ(wording.layout,
            "{instruction}\n\n{examples}\n<context>\n{context}\nQuestion: {question}");
  EXPECT_EQ(wording.answer, "\n{answer}");
  EXPECT_EQ(wording.tasks[0].instruction, "Two lines\nof it.");
  EXPECT_THAT(wording.tasks[0].examples, ElementsAre("one", "two\nlines"));
  EXPECT_EQ(wording.tasks[0].post_prompt, "In a word.");
  EXPECT_THAT(wording.tasks[2].examples, ElementsAre("one text"));
  EXPECT_EQ(wording.tasks[2].instruction, "");
  const auto& own = data::built_in_babilong_wording().tasks[1];
  EXPECT_EQ(wording.tasks[1].instruction, own.instruction);
  EXPECT_EQ(wording.tasks[1].examples, own.examples);
}

TEST(BabilongWordingFile, LeavesWhatItDoesNotName) {
  const Scratch scratch;
  write_file(scratch / "prompts.yaml", "qa2: {instruction: Look.}\n");
  const data::BabilongWording wording = read_babilong_wording(scratch / "prompts.yaml");
  const data::BabilongWording& own = data::built_in_babilong_wording();
  EXPECT_EQ(wording.layout, own.layout);
  EXPECT_EQ(wording.answer, own.answer);
  EXPECT_EQ(wording.tasks[1].instruction, "Look.");
  EXPECT_EQ(read_babilong_wording("").tasks[1].instruction, own.tasks[1].instruction);
}

TEST(BabilongWordingFile, NamesLineAndKey) {
  EXPECT_THAT(problem("qa1: {}\nlayout: \"{context}\"\n"),
              HasSubstr("prompts.yaml:2: layout: found {question} 0 times, expected it once"));
  EXPECT_THAT(problem("answer: none\n"),
              HasSubstr("prompts.yaml:1: answer: found {answer} 0 times"));
  EXPECT_THAT(problem("qa1:\n  example: x\n"), HasSubstr("prompts.yaml:2: qa1.example"));
  EXPECT_THAT(problem("qa7: {instruction: x}\n"), HasSubstr("prompts.yaml:1: qa7"));
  EXPECT_THAT(problem("qa1: text\n"), HasSubstr("prompts.yaml:1: qa1"));
  EXPECT_THAT(problem("qa1:\n  examples:\n    - [x]\n"), HasSubstr("qa1.examples: element 1"));
  EXPECT_THAT(problem("- x\n"), HasSubstr("prompts.yaml:1"));
  EXPECT_THAT(problem_of([] { read_babilong_wording("/nowhere/prompts.yaml"); }),
              HasSubstr("/nowhere/prompts.yaml"));
}

}  // namespace
}  // namespace longhaul::launch
