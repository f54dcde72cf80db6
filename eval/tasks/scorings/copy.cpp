// String copying: the share of letters that are right at their place; the closing "." is not looked
// at. Teacher forced as Jelassi et al. (2024) count, or free: what the model writes by itself.
#include <algorithm>

#include "eval/tasks/task_scoring.h"

namespace longhaul::eval {

namespace {

class CopyScorer final : public AnswerScorer {
 public:
  explicit CopyScorer(bool is_free) : is_free_(is_free) {}
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
  bool is_teacher_forced() const override { return !is_free_; }

 private:
  bool is_free_;
};

class CopyScoring final : public TaskScoring {
 public:
  std::string name() const override { return "copy"; }
  std::string title() const override { return "String copying"; }
  std::string unit() const override { return "letters"; }
  std::string axis() const override { return "letters of the string"; }
  std::string scored() const override { return "characters"; }
  bool depth_matters() const override { return false; }
  void visit(core::FieldVisitor& v) override {
    v.field("free", is_free_,
            "the model goes on from its own letters; default: from the right ones (teacher "
            "forced), as Jelassi et al. count");
  }
  std::unique_ptr<AnswerScorer> make(const data::Task&, const data::Tokenizer*) const override {
    return std::make_unique<CopyScorer>(is_free_);
  }

 private:
  bool is_free_ = false;
};

}  // namespace

std::unique_ptr<TaskScoring> make_copy_scoring() { return std::make_unique<CopyScoring>(); }

}  // namespace longhaul::eval
