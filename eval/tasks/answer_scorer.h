// Reads what a model says after a task's prompt and says how right it is.
#pragma once

#include <cstdint>
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

/// Of tokens that the tokenizer knows: a model's vocabulary may be larger.
std::string text_of(const data::Tokenizer& tokenizer, std::span<const int32_t> tokens);

}  // namespace longhaul::eval
