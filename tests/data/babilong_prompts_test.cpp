#include "data/tasks/babilong_prompts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/data/babi_reader.h"
#include "tests/data/scratch.h"

namespace longhaul::data {
namespace {

using ::testing::HasSubstr;
using testing::problem_of;

std::string built_in_head(int task, int64_t shots, bool instruction) {
  return babilong_head(built_in_babilong_wording(), task, shots, instruction);
}

TEST(BabilongPrompts, ShotsAreAsManyAsAskedFor) {
  const auto count = [](const std::string& text) {
    int shots = 0;
    for (size_t at = 0; (at = text.find("<example>", at)) != text.npos; ++at) ++shots;
    return shots;
  };
  for (int number = 1; number <= kBabilongTasks; ++number) {
    EXPECT_EQ(count(built_in_head(number, -1, true)), number == 5 ? 3 : 2);
    EXPECT_EQ(count(built_in_head(number, 1, true)), 1);
    EXPECT_EQ(count(built_in_head(number, 0, true)), 0);
  }
  // The worked examples are worked right.
  for (const int number : {1, 2, 3, 6}) {
    const std::string head = built_in_head(number, -1, false);
    for (size_t at = 0; (at = head.find("<example>\n", at)) != head.npos;) {
      at += 10;
      const size_t end = head.find("\nAnswer: ", at);
      std::string story = head.substr(at, end - at);
      const size_t question = story.rfind(". ") + 2;
      testing::BabiReader reader;
      for (size_t begin = 0; begin < question;) {
        const size_t stop = story.find(". ", begin);
        std::string fact = story.substr(begin, stop - begin);
        // Shots may leave out "there".
        const bool takes = fact.find(" took ") != fact.npos || fact.find(" got ") != fact.npos ||
                           fact.find(" picked up ") != fact.npos;
        if (takes && !fact.ends_with(" there")) fact += " there";
        reader.read(fact);
        begin = stop + 2;
      }
      const std::string answer = head.substr(end, head.find("\n</example>", end) - end);
      EXPECT_THAT(answer, HasSubstr(reader.answer(story.substr(question))));
    }
  }
  EXPECT_THAT(problem_of([] { built_in_head(1, 3, true); }),
              HasSubstr("shots: found 3, expected at most 2 for qa1"));
  EXPECT_THAT(problem_of([] { built_in_head(1, -2, true); }), HasSubstr("shots: found -2"));
}

BabilongWording wording(const std::string& layout) {
  BabilongWording made{.layout = layout, .answer = "\n-> {answer}", .tasks = {}};
  made.tasks[1] = {
      .instruction = "Say {question}.", .examples = {"A", "B", "C"}, .post_prompt = "Go."};
  return made;
}

TEST(BabilongPrompts, FollowALayout) {
  const BabilongWording layout =
      wording("{instruction}\n\n{examples}\n\n{post_prompt}\n\n[{context}]\n\nQ: {question} {}\n");
  // What is filled in is taken as it stands, names in braces and all.
  EXPECT_EQ(babilong_head(layout, 2, -1, true), "Say {question}.\n\nA\nB\nC\n\nGo.\n\n[");
  EXPECT_EQ(babilong_head(layout, 2, 1, true), "Say {question}.\n\nA\n\nGo.\n\n[");
  EXPECT_EQ(babilong_tail(layout, "Who {answer}?"), "]\n\nQ: Who {answer}? {}\n");
  EXPECT_EQ(babilong_answer(layout, "I"), "\n-> I");
  // One that is empty takes one line break along.
  EXPECT_EQ(babilong_head(layout, 2, 0, false), "\n\n\n[");
  EXPECT_EQ(babilong_head(wording("{examples}{context}{question}"), 2, 2, true), "A\nB");
  EXPECT_EQ(babilong_head(wording("{context}{question}"), 2, -1, true), "");
  EXPECT_THAT(problem_of([&] { babilong_head(layout, 1, 1, true); }),
              HasSubstr("shots: found 1, expected at most 0 for qa1"));
}

TEST(BabilongPrompts, LayoutsSayWhatIsWrong) {
  EXPECT_EQ(problem_of_layout(built_in_babilong_wording().layout), "");
  EXPECT_EQ(problem_of_layout("{context}{question}"), "");
  EXPECT_EQ(problem_of_layout("{ } {} {Context} {context} {question}"), "");
  EXPECT_EQ(problem_of_layout("{context}"), "found {question} 0 times, expected it once");
  EXPECT_EQ(problem_of_layout("{question}"), "found {context} 0 times, expected it once");
  EXPECT_EQ(problem_of_layout("{context}{context}{question}"),
            "found {context} 2 times, expected it once");
  EXPECT_EQ(problem_of_layout("{examples}{examples}{context}{question}"),
            "found {examples} 2 times, expected it once at most");
  EXPECT_EQ(problem_of_layout("{question}{context}"),
            "found {question} before {context}, expected it after it");
  EXPECT_EQ(problem_of_layout("{context}{question}{post_prompt}"),
            "found {post_prompt} after {context}, expected it before it");
  EXPECT_EQ(
      problem_of_layout("{instructions}{context}{question}"),
      "found {instructions}, expected {instruction}, {examples}, {post_prompt}, {context} and "
      "{question}");
  EXPECT_EQ(problem_of_answer(built_in_babilong_wording().answer), "");
  EXPECT_EQ(problem_of_answer("\nAnswer:"), "found {answer} 0 times, expected it once");
  EXPECT_EQ(problem_of_answer("\n{answer} {place}"), "found {place}, expected {answer}");
  EXPECT_EQ(problem_of_answer("{answer}"), "expected it to begin with a line break");
}

}  // namespace
}  // namespace longhaul::data
