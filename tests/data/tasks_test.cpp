// Every task's examples against the task's own rules, read back from the tokens.
#include "data/tasks/task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <set>

#include "data/tasks/task_kind.h"
#include "tests/data/a_task.h"
#include "tests/data/scratch.h"
#include "tests/data/tokenizer_file.h"

namespace longhaul::data {
namespace {

using testing::a_kind;
using testing::a_task;
using ::testing::HasSubstr;
using testing::problem_of;
using testing::Scratch;

core::RandomKey key_of(uint64_t number) { return {5, number, core::RandomPurpose::kSyntheticTask}; }

std::string text_of(const Tokenizer& tokenizer, const std::vector<int32_t>& tokens) {
  std::string text;
  for (const int32_t token : tokens) text += tokenizer.decode(token);
  return text;
}

/// Labels of a row must be exactly the tokens that follow where the answer is said.
void expect_shifted(const std::vector<int32_t>& tokens, const std::vector<int32_t>& labels) {
  for (size_t i = 0; i < tokens.size(); ++i)
    if (labels[i] >= 0) {
      ASSERT_LT(i + 1, tokens.size());
      EXPECT_EQ(labels[i], tokens[i + 1]) << i;
    }
}

TEST(CopyTask, SaysTheStringAgain) {
  const auto task = a_task("copy", {{"letters", 5}, {"shortest", 2}, {"longest", 4}});
  EXPECT_EQ(task->vocabulary(), 9);
  std::set<std::vector<int32_t>> different;
  for (uint64_t i = 0; i < 50; ++i) {
    const Example example = task->example({.length = 22, .key = key_of(i)});
    ASSERT_EQ(example.prompt.size(), 22u);
    EXPECT_EQ(example.prompt.front(), 5);  // $
    EXPECT_EQ(example.prompt.back(), 6);   // |
    std::vector<int32_t> expected(example.prompt.begin() + 1, example.prompt.end() - 1);
    for (const int32_t letter : expected) EXPECT_LT(letter, 5);
    expected.push_back(7);  // .
    EXPECT_EQ(example.answer, expected);
    different.insert(expected);
  }
  EXPECT_EQ(different.size(), 50u);
  const Example odd = task->example({.length = 23, .with_answer = true, .key = key_of(1)});
  EXPECT_EQ(odd.prompt.size(), 12u);
  EXPECT_EQ(odd.answer.size(), 11u);
  Example even = task->example({.length = 24, .with_answer = true, .key = key_of(1)});
  EXPECT_EQ(even.prompt.front(), 8);  // *
  even.prompt.erase(even.prompt.begin());
  EXPECT_EQ(even.prompt, odd.prompt);
  EXPECT_EQ(even.answer, odd.answer);
}

TEST(CopyTask, RowsArePackedAndOnlyCopiesCount) {
  const auto task = a_task("copy", {{"shortest", 3}, {"longest", 9}});
  std::set<int64_t> lengths;
  for (uint64_t i = 0; i < 200; ++i) {
    std::vector<int32_t> tokens(60), labels(60);
    task->write_row(key_of(i), tokens, labels);
    expect_shifted(tokens, labels);
    // Read back by hand: $ letters | letters . and so on, then * to the end.
    size_t at = 0;
    while (at < tokens.size() && tokens[at] == 26) {
      size_t bar = at + 1;
      while (tokens[bar] < 26) ++bar;
      const size_t letters = bar - at - 1;
      lengths.insert(static_cast<int64_t>(letters));
      ASSERT_EQ(tokens[bar], 27);
      for (size_t j = at; j < bar; ++j) EXPECT_EQ(labels[j], -1);
      for (size_t j = 0; j < letters; ++j) {
        EXPECT_EQ(tokens[bar + 1 + j], tokens[at + 1 + j]);
        EXPECT_EQ(labels[bar + j], tokens[at + 1 + j]);
      }
      EXPECT_EQ(labels[bar + letters], 28);
      at = bar + letters + 2;
      ASSERT_EQ(tokens[at - 1], 28);
      EXPECT_EQ(labels[at - 1], -1);
    }
    EXPECT_LT(60 - at, 2u * 9 + 3) << "room for one more";
    for (; at < tokens.size(); ++at) {
      EXPECT_EQ(tokens[at], 29);
      EXPECT_EQ(labels[at], -1);
    }
  }
  EXPECT_EQ(lengths, (std::set<int64_t>{3, 4, 5, 6, 7, 8, 9}));
}

TEST(CopyTask, RefusesWhatCannotBe) {
  EXPECT_THAT(problem_of([] {
                a_task("copy", {{"shortest", 6}, {"longest", 5}});
              }),
              HasSubstr("copy task: shortest: must be at most data.copy.longest (5), is 6"));
  const auto task = a_task("copy", {{"longest", 20}});
  EXPECT_THAT(problem_of([&] { make_task_source(*task, 42, 1, {}, false); }),
              HasSubstr("a row of 42 tokens has no room for a string of 20 letters, expected at "
                        "least 43"));
  EXPECT_THAT(problem_of([&] { task->example({.length = 2}); }), HasSubstr("at least 3"));
}

/// Counts its rows, which hold its number.
class NumberedTask final : public Task {
 public:
  explicit NumberedTask(int32_t number) : number_(number) {}
  std::string name() const override { return "numbered"; }
  int64_t vocabulary() const override { return 9; }
  uint64_t fingerprint() const override { return static_cast<uint64_t>(number_); }
  Example example(const ExampleRequest&) const override {
    return {.prompt = {number_}, .answer = {number_}};
  }
  void write_row(const core::RandomKey&, std::span<int32_t> tokens,
                 std::span<int32_t>) const override {
    std::ranges::fill(tokens, 10 + number_);
  }

 private:
  int32_t number_;
};

TEST(WholeTask, DrawsAPartForEachRowAsThatPartWritesIt) {
  std::vector<std::unique_ptr<Task>> parts;
  for (const int32_t number : {1, 2}) parts.push_back(std::make_unique<NumberedTask>(number));
  const auto whole = whole_task(*a_kind("copy"), std::move(parts));
  EXPECT_EQ(whole->name(), "copy");
  std::set<int32_t> rows;
  for (uint64_t i = 0; i < 20; ++i) {
    std::vector<int32_t> tokens(3), labels(3);
    whole->write_row(key_of(i), tokens, labels);
    rows.insert(tokens[2]);
    EXPECT_EQ(whole->example({.length = 1, .key = key_of(i)}).prompt[0] + 10, tokens[2]);
  }
  EXPECT_EQ(rows, (std::set<int32_t>{11, 12}));
}

TEST(WholeTask, IsTheOneTaskThatHasTheKindsName) {
  const auto kind = a_kind("copy");
  EXPECT_EQ(whole_task(*kind, kind->make({}))->fingerprint(), a_task("copy")->fingerprint());
}

TEST(TaskKind, EvaluationsTakeSettingsThatMeanSomethingToThem) {
  const auto kind = a_kind("copy", {{"letters", 7}, {"longest", 9}});
  const auto asked = kind->for_evaluation();
  const auto names = [](const TaskKind& each) {
    std::set<std::string> all;
    for (const Setting& setting : settings_of(each)) all.insert(setting.name);
    return all;
  };
  EXPECT_EQ(names(*kind), (std::set<std::string>{"letters", "shortest", "longest"}));
  EXPECT_EQ(names(*asked), (std::set<std::string>{"letters", "longest"}));
  EXPECT_EQ(asked->make({}).at(0)->vocabulary(), 7 + 4);
  EXPECT_EQ(asked->usual_lengths(), (std::vector<int64_t>{4, 9, 13, 18, 22, 27, 31, 36}));
  EXPECT_EQ(asked->longest_trained(100), 9);
}

/// Pairs of digits are one token, so that answers differ in their number of tokens.
std::unique_ptr<Tokenizer> merged(const Scratch& scratch) {
  std::vector<std::pair<std::string, std::string>> merges{{"Ġ", "t"}, {"h", "e"}, {"i", "s"}};
  for (char a = '0'; a <= '9'; ++a)
    for (char b = '0'; b <= '4'; ++b) merges.emplace_back(std::string(1, a), std::string(1, b));
  return testing::made(scratch, testing::byte_level_json(merges));
}

struct NamedTokenizer {
  std::string name;
  std::unique_ptr<Tokenizer> (*make)(const Scratch&);
};
void PrintTo(const NamedTokenizer& named, std::ostream* out) { *out << named.name; }

class PasskeyTask : public ::testing::TestWithParam<NamedTokenizer> {
 protected:
  Scratch scratch_;
  std::unique_ptr<Tokenizer> tokenizer_ = GetParam().make(scratch_);
};

TEST_P(PasskeyTask, HidesItsKeyAtTheDepthInExactlyAsManyTokens) {
  const auto task = a_task("passkey", *tokenizer_);
  std::set<std::string> keys;
  for (const int64_t length : {512, 513, 1000, 4096}) {
    for (const double depth : {0.0, 0.25, 0.5, 1.0}) {
      const Example example = task->example(
          {.length = length, .depth = depth, .key = key_of(static_cast<uint64_t>(length))});
      ASSERT_EQ(std::ssize(example.prompt), length);
      const std::string text = text_of(*tokenizer_, example.prompt);
      std::smatch match;
      ASSERT_TRUE(std::regex_search(
          text, match,
          std::regex("\nThe pass key is ([0-9]{5})\\. Remember it\\. ([0-9]{5}) is the pass "
                     "key\\.\n")));
      EXPECT_EQ(match[1], match[2]);
      EXPECT_EQ(match[1], example.answer_text);
      keys.insert(match[1]);
      EXPECT_EQ(text.find("There is an important info hidden"), 0u);
      EXPECT_TRUE(text.ends_with("\nWhat is the pass key? The pass key is"));
      EXPECT_EQ(text_of(*tokenizer_, example.answer), " " + example.answer_text + ".");
      // Filler before the key, as a share of all filler, in characters.
      const std::string first = match.prefix(), last = match.suffix();
      const double before = static_cast<double>(first.size() - first.find('\n'));
      const double after = static_cast<double>(last.rfind('\n') + 1);
      EXPECT_NEAR(before / (before + after), depth, 0.06) << length;
    }
  }
  EXPECT_EQ(keys.size(), 4u);
}

TEST_P(PasskeyTask, TrainsOnTheAnswerAlone) {
  const auto task = a_task("passkey", *tokenizer_);
  std::vector<int32_t> tokens(700), labels(700);
  task->write_row(key_of(3), tokens, labels);
  expect_shifted(tokens, labels);
  std::vector<int32_t> answer;
  for (const int32_t label : labels)
    if (label >= 0) answer.push_back(label);
  const std::string text = text_of(*tokenizer_, answer);
  EXPECT_TRUE(std::regex_match(text, std::regex(" [0-9]{5}\\."))) << text;
  EXPECT_TRUE(text_of(*tokenizer_, tokens).ends_with("The pass key is" + text));
}

TEST_P(PasskeyTask, SaysHowLongItIsAtLeast) {
  const auto task = a_task("passkey", *tokenizer_);
  EXPECT_THAT(problem_of([&] { task->example({.length = 20}); }),
              HasSubstr("passkey task: needs at least "));
}

INSTANTIATE_TEST_SUITE_P(
    Tokenizers, PasskeyTask,
    ::testing::Values(NamedTokenizer{"Byte", [](const Scratch&) { return make_tokenizer("byte"); }},
                      NamedTokenizer{"Bpe",
                                     [](const Scratch& scratch) { return merged(scratch); }}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace longhaul::data
