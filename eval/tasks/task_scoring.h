// How the answers to a kind of task are read and shown. Every file of eval/tasks/scorings adds one;
// the kind itself is a file of the same name in data/tasks/kinds.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/tasks/task.h"
#include "data/tokenizer.h"
#include "eval/tasks/answer_scorer.h"
#include "kernels/core/field_visitor.h"

namespace longhaul::eval {

class TaskScoring {
 public:
  virtual ~TaskScoring() = default;
  virtual std::string name() const = 0;            ///< as data::TaskKind::name
  virtual std::string title() const = 0;           ///< of its section in the report
  virtual std::string unit() const { return ""; }  ///< of lengths; "": tokens
  virtual std::string axis() const { return "tokens of the prompt"; }  ///< what lengths count
  virtual std::string scored() const { return "answers"; }             ///< what is right or not
  /// Whether where the answer lay is worth a table.
  virtual bool depth_matters() const { return true; }
  /// What an evaluation may choose.
  virtual void visit(core::FieldVisitor& options) { static_cast<void>(options); }
  /// Of one of the kind's tasks; the tokenizer, of tasks in words, must outlive the scorer.
  virtual std::unique_ptr<AnswerScorer> make(const data::Task& task,
                                             const data::Tokenizer* tokenizer) const = 0;
};

/// One of each file of eval/tasks/scorings, by name, as they are by default.
std::vector<std::unique_ptr<TaskScoring>> make_task_scorings();
std::unique_ptr<TaskScoring> make_task_scoring(const std::string& name);  ///< nullptr: none
const std::vector<std::unique_ptr<TaskScoring>>& task_scorings();         ///< the same, made once
/// nullptr: there is none.
const TaskScoring* find_task_scoring(const std::string& name);

/// "25 letters", "no text", "2k".
std::string length_name(const TaskScoring& scoring, int64_t length);

}  // namespace longhaul::eval
