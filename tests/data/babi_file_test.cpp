#include "data/tasks/babi_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/data/scratch.h"

namespace longhaul::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::problem_of;
using testing::Scratch;

TEST(BabiFile, ReadsStoriesFactsAndQuestions) {
  const auto stories = parse_babi(
      "1 Mary moved to the bathroom.\n2 John went to the hallway.\n"
      "3 Where is Mary? \tbathroom\t1\n4 Mary got the milk there.\r\n"
      "5 Where is the milk?\tbathroom\t4 1\n1 Ann is here.\n2 Where is Ann? \there\t1",
      "a.txt");
  ASSERT_EQ(stories.size(), 2u);
  EXPECT_THAT(stories[0].facts,
              ElementsAre("Mary moved to the bathroom.", "John went to the hallway.",
                          "Mary got the milk there."));
  ASSERT_EQ(stories[0].questions.size(), 2u);
  EXPECT_EQ(stories[0].questions[0].text, "Where is Mary?");
  EXPECT_EQ(stories[0].questions[0].answer, "bathroom");
  EXPECT_EQ(stories[0].questions[0].facts, 2u);
  EXPECT_THAT(stories[0].questions[0].supports, ElementsAre(0));
  EXPECT_EQ(stories[0].questions[1].facts, 3u);
  EXPECT_THAT(stories[0].questions[1].supports, ElementsAre(0, 2));
  EXPECT_EQ(stories[1].questions[0].answer, "here");
}

TEST(BabiFile, RefusesNamingFileAndLine) {
  const auto problem = [](const std::string& text) {
    return problem_of([&] { parse_babi(text, "a.txt"); });
  };
  const std::string first = "1 Ann is here.\n";
  EXPECT_THAT(problem(first + "3 Ann is there.\n"),
              HasSubstr("a.txt:2: its number is 3, expected 2 or 1 (a new story)"));
  EXPECT_THAT(problem("2 Ann is here.\n"),
              HasSubstr("a.txt:1: its number is 2, expected 1 (a new story)"));
  EXPECT_THAT(problem("Ann is here.\n"), HasSubstr("a.txt:1: expected a number from 1 on"));
  EXPECT_THAT(problem("-1 Ann is here.\n"), HasSubstr("a.txt:1: expected a number from 1 on"));
  EXPECT_THAT(problem("99999999999999999999999 a\n"), HasSubstr("a.txt:1: expected a number"));
  EXPECT_THAT(problem(first + "\n"), HasSubstr("a.txt:2: expected a number from 1 on"));
  EXPECT_THAT(problem(first + "2 Where?\tthere\n"),
              HasSubstr("a.txt:2: expected question, tab, answer, tab and the numbers"));
  for (const char* line : {"2 Where?\t\t1\n", "2 \tthere\t1\n"})
    EXPECT_THAT(problem(first + line), HasSubstr("a.txt:2: expected a question and an"));
  EXPECT_THAT(problem(first + "2 Where?\tthere\t \n"), HasSubstr("a.txt:2: expected the numbers"));
  EXPECT_THAT(problem(first + "2 Where?\tthere\t2\n"),
              HasSubstr("a.txt:2: found '2', expected the number of a sentence of this story"));
  EXPECT_THAT(problem(first + "2 Where?\tthere\t1 900000000\n"), HasSubstr("found '900000000'"));
  EXPECT_THAT(problem(first + "2 Where?\tthere\tx\n"), HasSubstr("a.txt:2: found 'x'"));
  EXPECT_THAT(problem(first + "2 Who?\ta\t1\n3 Who?\tb\t2\n"), HasSubstr("a.txt:3: found '2'"));
  EXPECT_THAT(problem("1  \n"), HasSubstr("a.txt:1: expected a sentence after the number"));
  EXPECT_THAT(problem("1 a\x01 b\n"), HasSubstr("a.txt:1: holds a control character"));
  EXPECT_THAT(problem(first), HasSubstr("a.txt: asks no question"));
  EXPECT_THAT(problem(""), HasSubstr("a.txt: asks no question"));
  EXPECT_THAT(problem(first + "2 Where?\tthere\t" + std::string(99, 'x') + "\n"),
              HasSubstr("found '" + std::string(20, 'x') + "', expected"));
}

TEST(BabiFile, TellsTheFirstTenProblems) {
  std::string text, expected;
  for (int line = 1; line <= 12; ++line) {
    text += "x\n";
    if (line > 10) continue;
    expected += core::message(line > 1 ? "\n" : "", "a.txt:", line,
                              ": expected a number from 1 on, a space and a sentence");
  }
  EXPECT_EQ(problem_of([&] { parse_babi(text, "a.txt"); }), expected);
}

TEST(BabiFile, FindsFilesByTheirNames) {
  const Scratch scratch;
  for (const char* name :
       {"qa10_a_train.txt", "qa2_b_train.txt", "qa1_c_train.txt", "qa1_c_test.txt", "notes.txt"})
    testing::write_file(scratch / name, "1 a\n");
  EXPECT_THAT(find_babi_files(scratch.path(), "train", 6),
              ElementsAre(scratch / "qa1_c_train.txt", scratch / "qa2_b_train.txt"));
  EXPECT_THAT(find_babi_files(scratch / "qa1_c_test.txt", "train", 6),
              ElementsAre(scratch / "qa1_c_test.txt"));
  for (const std::string name : {"notes.txt", "qa10_a_train.txt"})
    EXPECT_THAT(problem_of([&] { find_babi_files(scratch / name, "train", 6); }),
                HasSubstr(name + ": expected a name that begins with qa1_ to qa6_"));
  EXPECT_THAT(problem_of([&] { find_babi_files(scratch / "nope", "train", 6); }),
              HasSubstr("nope: is not there"));
  EXPECT_THAT(problem_of([&] { find_babi_files(scratch.path(), "valid", 6); }),
              HasSubstr("holds no file qa1_*_valid.txt"));
  EXPECT_THAT(problem_of([&] { read_babi(scratch / "none.txt"); }), HasSubstr("is no file"));
  std::filesystem::resize_file(scratch / "notes.txt", (256 << 20) + 1);
  EXPECT_THAT(problem_of([&] { read_babi(scratch / "notes.txt"); }),
              HasSubstr("notes.txt: has more than 268435456 bytes"));
}

}  // namespace
}  // namespace longhaul::data
