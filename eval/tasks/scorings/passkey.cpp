// Passkey retrieval: right if the first run of digits is the key.
#include <algorithm>

#include "eval/tasks/task_scoring.h"

namespace longhaul::eval {

namespace {

class PasskeyScorer final : public AnswerScorer {
 public:
  explicit PasskeyScorer(const data::Tokenizer& tokenizer) : tokenizer_(tokenizer) {}
  // A token for each digit, white space before them, and one that shows where they end.
  int64_t tokens(const data::Example& example) const override {
    return std::ssize(example.answer_text) + 5;
  }
  double score(const data::Example& example, std::span<const int32_t> said) const override {
    const std::string text = text_of(tokenizer_, said);
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    const auto begin = std::find_if(text.begin(), text.end(), is_digit);
    return std::string(begin, std::find_if_not(begin, text.end(), is_digit)) == example.answer_text
               ? 1
               : 0;
  }

 private:
  const data::Tokenizer& tokenizer_;
};

class PasskeyScoring final : public TaskScoring {
 public:
  std::string name() const override { return "passkey"; }
  std::string title() const override { return "Passkey retrieval"; }
  std::unique_ptr<AnswerScorer> make(const data::Task&,
                                     const data::Tokenizer* tokenizer) const override {
    return std::make_unique<PasskeyScorer>(*tokenizer);
  }
};

}  // namespace

std::unique_ptr<TaskScoring> make_passkey_scoring() { return std::make_unique<PasskeyScoring>(); }

}  // namespace longhaul::eval
