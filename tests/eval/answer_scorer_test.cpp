#include "eval/tasks/answer_scorer.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "eval/tasks/task_scoring.h"
#include "tests/data/a_task.h"

namespace longhaul::eval {
namespace {

/// What scorers are made of.
class Labelled final : public data::Task {
 public:
  explicit Labelled(std::set<std::string> labels) : labels_(std::move(labels)) {}
  std::string name() const override { return "labelled"; }
  int64_t vocabulary() const override { return 256; }
  uint64_t fingerprint() const override { return 1; }
  data::Example example(const data::ExampleRequest&) const override { return {}; }
  std::set<std::string> labels() const override { return labels_; }

 private:
  std::set<std::string> labels_;
};

std::unique_ptr<AnswerScorer> scorer_of(const std::string& kind, const data::Tokenizer* tokenizer,
                                        const std::map<std::string, int64_t>& options = {},
                                        const std::set<std::string>& labels = {}) {
  const auto scoring = make_task_scoring(kind);
  data::testing::SetNumbers numbers(options);
  scoring->visit(numbers);
  return scoring->make(Labelled(labels), tokenizer);
}

class AnswerScorerTest : public ::testing::Test {
 protected:
  std::vector<int32_t> said(const std::string& text) const {
    std::vector<int32_t> tokens;
    tokenizer_->encode(text, tokens);
    return tokens;
  }
  std::unique_ptr<data::Tokenizer> tokenizer_ = data::make_tokenizer("byte");
};

TEST_F(AnswerScorerTest, PasskeyIsTheFirstRunOfDigits) {
  const auto scorer = scorer_of("passkey", tokenizer_.get());
  const data::Example example{.answer_text = "01234"};
  const auto score = [&](const std::string& text) { return scorer->score(example, said(text)); };
  EXPECT_EQ(score(" 01234."), 1);
  EXPECT_EQ(score("\n01234, 99"), 1);
  EXPECT_EQ(score("key: 01234"), 1);
  EXPECT_EQ(score(" 012345"), 0);
  EXPECT_EQ(score(" 1234."), 0);
  EXPECT_EQ(score(" 0123"), 0);
  EXPECT_EQ(score(" 9 01234"), 0);
  EXPECT_EQ(score(" 01 234"), 0);
  EXPECT_EQ(score("none"), 0);
  EXPECT_EQ(score(""), 0);
  EXPECT_FALSE(scorer->is_graded());
  // Tokens outside of the tokenizer's vocabulary are no digits.
  EXPECT_EQ(scorer->score(example, std::vector<int32_t>{'0', '1', 999, '2', '3', '4', -1}), 1);
  EXPECT_GE(scorer->tokens(example), 7);
}

TEST_F(AnswerScorerTest, BabilongTakesTheOnlyLabelOfTheFirstSentence) {
  const auto scorer = scorer_of("babilong", tokenizer_.get(), {{"answer_tokens", 17}},
                                {"kitchen", "garden", "office", "bill", "fred"});
  const data::Example where{.question = "Where was the milk before the Garden?",
                            .answer_text = "kitchen"};
  const auto score = [&](const data::Example& example, const std::string& text) {
    return scorer->score(example, said(text));
  };
  EXPECT_EQ(score(where, "\nAnswer: Kitchen. The office"), 1);
  EXPECT_EQ(score(where, " Before the garden the milk was in the KITCHEN"), 1);  // asked about
  EXPECT_EQ(score(where, " the kitchen or the office."), 0);
  EXPECT_EQ(score(where, " the office."), 0);
  EXPECT_EQ(score(where, ". kitchen"), 0);
  EXPECT_EQ(score(where, "?\n<example>\nkitchen"), 0);
  EXPECT_EQ(score(where, "kitchen<context>office"), 1);
  EXPECT_EQ(score(where, ""), 0);
  const data::Example who{.question = "Who gave the milk to Bill?", .answer_text = "Fred"};
  EXPECT_EQ(score(who, "Fred gave it to Bill."), 1);
  EXPECT_EQ(score(who, "Bill."), 0);
  EXPECT_EQ(scorer->tokens(who), 17);
  EXPECT_EQ(scorer_of("babilong", tokenizer_.get())->tokens(who), 100);  // of bytes
}

/// The form that each task's worked examples show, and what models say beside it.
TEST_F(AnswerScorerTest, BabilongReadsTheFormsOfItsExamples) {
  struct Case {
    std::string question, answer, said;
    double score;
  };
  const auto expect = [&](const std::set<std::string>& labels, const std::vector<Case>& cases) {
    const auto scorer = scorer_of("babilong", tokenizer_.get(), {}, labels);
    for (const Case& c : cases) {
      EXPECT_EQ(scorer->score({.question = c.question, .answer_text = c.answer}, said(c.said)),
                c.score)
          << c.question << " | " << c.said;
    }
  };
  const std::set<std::string> places{"kitchen", "garden", "office", "barn"};
  const std::string who = "Where is Nora?", milk = "Where is the milk?",
                    before = "Where was the milk before the office?",
                    north = "What is north of the kitchen?";
  expect(places, {{who, "barn", "\nAnswer: The place where Nora is now is the barn.", 1},
                  {who, "barn", "\nAnswer: barn.", 1},
                  {who, "barn", "\nThe place where Nora is now is the <place>.", 0},
                  {who, "barn", "\nAnswer: Nora went from the office to the barn.", 0},
                  {who, "barn", "\nAnswer: not the barn.", 1},  // labels are all that is read
                  {who, "barn", "\nAnswer: barn\nQuestion: Who is in the office?", 0},
                  {who, "barn", "\nAnswer: barn\n<example>\nThe office.", 1},
                  {who, "barn", "\nNora is there. She is in the barn.", 0},
                  {milk, "office", "The milk is in the office.", 1},
                  {before, "garden", "Before that the milk was in the garden.", 1},
                  {before, "garden", "Before the office the milk was in the garden.", 1},
                  {before, "garden", "Before that the milk was in the office.", 0},
                  {north, "office", "office.", 1},
                  {north, "office", "The office is north of the kitchen.", 1},
                  {north, "office", "kitchen.", 0}});
  const std::string gave = "Who gave the milk to Bill?", what = "What did Fred give to Bill?";
  expect({"bill", "fred", "milk", "apple"}, {{gave, "Fred", "\nAnswer: Fred.", 1},
                                             {gave, "Fred", "\nAnswer: Bill.", 0},
                                             {what, "apple", "Fred gave Bill the apple.", 1},
                                             {what, "apple", "The milk or the apple.", 0}});
  const std::string is = "Is Mary in the kitchen?";
  expect({"yes", "no"}, {{is, "yes", "\nAnswer: Yes.", 1},
                         {is, "yes", "\nAnswer: no.", 0},
                         {is, "no", "\nAnswer: no.", 1},
                         {is, "no", "\nAnswer: yes and no.", 0},
                         {is, "yes", "\nAnswer: yes, I know.", 0},  // "no" is in "know"
                         // As with the benchmark, a label that the question holds never counts.
                         {"Is Nora in the kitchen?", "no", "\nAnswer: no.", 0}});
}

TEST_F(AnswerScorerTest, CopyingCountsLettersAtTheirPlace) {
  const auto scorer = scorer_of("copy", nullptr);
  const data::Example example{.answer = {3, 1, 2, 7}};
  const auto score = [&](const std::vector<int32_t>& tokens) {
    return scorer->score(example, tokens);
  };
  // The closing "." (7) is no letter.
  EXPECT_EQ(scorer->tokens(example), 3);
  EXPECT_EQ(score({3, 1, 2}), 1);
  EXPECT_EQ(score({3, 1, 2, 0}), 1);
  EXPECT_EQ(score({3, 2, 2}), 2.0 / 3);
  EXPECT_EQ(score({1, 2, 7}), 0);
  EXPECT_EQ(score({3}), 1.0 / 3);
  EXPECT_EQ(score({}), 0);
  EXPECT_TRUE(scorer->is_graded());
  EXPECT_TRUE(scorer->is_teacher_forced());
  EXPECT_FALSE(scorer_of("copy", nullptr, {{"free", 1}})->is_teacher_forced());
}

}  // namespace
}  // namespace longhaul::eval
