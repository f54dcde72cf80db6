#include "eval/tasks/answer_scorer.h"

#include <gtest/gtest.h>

namespace longhaul::eval {
namespace {

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
  const auto scorer = make_passkey_scorer(*tokenizer_);
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
  const auto scorer =
      make_babilong_scorer(*tokenizer_, {"kitchen", "garden", "office", "bill", "fred"}, 17);
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
}

TEST_F(AnswerScorerTest, CopyingCountsCharactersAtTheirPlace) {
  const auto scorer = make_copy_scorer();
  const data::Example example{.answer = {3, 1, 2, 7}};
  const auto score = [&](const std::vector<int32_t>& tokens) {
    return scorer->score(example, tokens);
  };
  EXPECT_EQ(scorer->tokens(example), 4);
  EXPECT_EQ(score({3, 1, 2, 7}), 1);
  EXPECT_EQ(score({3, 2, 2, 7}), 0.75);
  EXPECT_EQ(score({1, 2, 7, 3}), 0);
  EXPECT_EQ(score({3, 1}), 0.5);
  EXPECT_EQ(score({}), 0);
  EXPECT_TRUE(scorer->is_graded());
}

}  // namespace
}  // namespace longhaul::eval
