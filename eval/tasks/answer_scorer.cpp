#include "eval/tasks/answer_scorer.h"

#include <algorithm>
#include <utility>

#include "data/tasks/passkey_task.h"

namespace longhaul::eval {

namespace {

std::string lower_case(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

/// A model's vocabulary may be larger than its tokenizer's.
std::string text_of(const data::Tokenizer& tokenizer, std::span<const int32_t> tokens) {
  std::string text;
  for (const int32_t token : tokens) {
    if (token >= 0 && token < tokenizer.vocabulary()) text += tokenizer.decode(token);
  }
  return text;
}

class PasskeyScorer final : public AnswerScorer {
 public:
  explicit PasskeyScorer(const data::Tokenizer& tokenizer) : tokenizer_(tokenizer) {}
  // A token for each digit, white space before them, and one that shows where they end.
  int64_t tokens(const data::Example&) const override { return data::kPasskeyDigits + 5; }
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

class BabilongScorer final : public AnswerScorer {
 public:
  BabilongScorer(const data::Tokenizer& tokenizer, std::set<std::string> labels, int64_t tokens)
      : tokenizer_(tokenizer), labels_(std::move(labels)), tokens_(tokens) {}
  int64_t tokens(const data::Example&) const override { return tokens_; }
  double score(const data::Example& example, std::span<const int32_t> said) const override {
    std::string text = lower_case(text_of(tokenizer_, said));
    for (const char* end : {".", "<context>", "<example>"}) {
      text = text.substr(0, text.find(end));
    }
    const std::string question = lower_case(example.question);
    const auto holds = [](const std::string& where, const std::string& label) {
      return where.find(label) != std::string::npos;
    };
    std::set<std::string> found;
    for (const std::string& label : labels_) {
      if (holds(text, label) && !holds(question, label)) found.insert(label);
    }
    return found == std::set{lower_case(example.answer_text)} ? 1 : 0;
  }

 private:
  const data::Tokenizer& tokenizer_;
  std::set<std::string> labels_;
  int64_t tokens_;
};

class CopyScorer final : public AnswerScorer {
 public:
  explicit CopyScorer(CopyAnswers answers) : answers_(answers) {}
  int64_t tokens(const data::Example& example) const override {
    return std::ssize(example.answer) - 1;
  }
  double score(const data::Example& example, std::span<const int32_t> said) const override {
    const int64_t letters = tokens(example);
    int64_t right = 0;
    for (int64_t i = 0; i < std::min(std::ssize(said), letters); ++i) {
      const auto at = static_cast<size_t>(i);
      right += said[at] == example.answer[at] ? 1 : 0;
    }
    return static_cast<double>(right) / static_cast<double>(letters);
  }
  bool is_graded() const override { return true; }
  bool is_teacher_forced() const override { return answers_ == CopyAnswers::kTeacherForced; }

 private:
  CopyAnswers answers_;
};

}  // namespace

std::unique_ptr<AnswerScorer> make_passkey_scorer(const data::Tokenizer& tokenizer) {
  return std::make_unique<PasskeyScorer>(tokenizer);
}

std::unique_ptr<AnswerScorer> make_babilong_scorer(const data::Tokenizer& tokenizer,
                                                   std::set<std::string> labels, int64_t tokens) {
  return std::make_unique<BabilongScorer>(tokenizer, std::move(labels), tokens);
}

std::unique_ptr<AnswerScorer> make_copy_scorer(CopyAnswers answers) {
  return std::make_unique<CopyScorer>(answers);
}

}  // namespace longhaul::eval
