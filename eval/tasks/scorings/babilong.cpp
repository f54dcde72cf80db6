// The rule of BABILong (Kuratov et al. 2024): of the first sentence, in lower case and up to
// "<context>" or "<example>", the labels that it holds and the question does not; right if these
// are the answer alone.
#include <set>
#include <utility>

#include "eval/tasks/task_scoring.h"

namespace longhaul::eval {

namespace {

std::string lower_case(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

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

class BabilongScoring final : public TaskScoring {
 public:
  std::string name() const override { return "babilong"; }
  std::string title() const override { return "BABILong"; }
  void visit(core::FieldVisitor& v) override {
    v.field("answer_tokens", answer_tokens_,
            "tokens of an answer that are read; 0: 20, of bytes 100", core::AtLeast{0});
  }
  std::unique_ptr<AnswerScorer> make(const data::Task& part,
                                     const data::Tokenizer* tokenizer) const override {
    const int64_t usual = tokenizer->name() == "byte" ? 100 : 20;
    return std::make_unique<BabilongScorer>(*tokenizer, part.labels(),
                                            answer_tokens_ > 0 ? answer_tokens_ : usual);
  }

 private:
  int64_t answer_tokens_ = 0;
};

}  // namespace

std::unique_ptr<TaskScoring> make_babilong_scoring() { return std::make_unique<BabilongScoring>(); }

}  // namespace longhaul::eval
