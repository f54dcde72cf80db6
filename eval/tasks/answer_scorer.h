// Reads what a model says after a task's prompt and says how right it is.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>

#include "data/tasks/task.h"
#include "data/tokenizer.h"

namespace longhaul::eval {

class AnswerScorer {
 public:
  virtual ~AnswerScorer() = default;
  /// So many tokens after the prompt are looked at.
  virtual int64_t tokens(const data::Example& example) const = 0;
  /// From 0, wrong, to 1. `said` may hold tokens that the task does not know.
  virtual double score(const data::Example& example, std::span<const int32_t> said) const = 0;
  /// Whether there are scores between 0 and 1.
  virtual bool is_graded() const { return false; }
  /// Whether the model reads the right answer while it answers: what it says at each place follows
  /// the right tokens before, not its own.
  virtual bool is_teacher_forced() const { return false; }
};

/// Right if the first run of digits is the key.
std::unique_ptr<AnswerScorer> make_passkey_scorer(const data::Tokenizer& tokenizer);

/// The rule of BABILong: of the first sentence, in lower case and up to "<context>" or "<example>",
/// the labels that it holds and the question does not; right if these are the answer alone.
/// `tokens` of an answer are read.
std::unique_ptr<AnswerScorer> make_babilong_scorer(const data::Tokenizer& tokenizer,
                                                   std::set<std::string> labels, int64_t tokens);

enum class CopyAnswers { kTeacherForced, kFree };
/// The share of letters that are right at their place; the closing "." is not looked at. Teacher
/// forced as Jelassi et al. (2024) count, or free: what the model writes by itself.
std::unique_ptr<AnswerScorer> make_copy_scorer(CopyAnswers answers);

}  // namespace longhaul::eval
