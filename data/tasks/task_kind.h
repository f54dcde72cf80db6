// A kind of task: what `data.kind` and `longhaul eval` know it by, its settings, and how its
// examples are made. Every file of data/tasks/kinds adds one; how its answers are read and shown is
// a file of the same name in eval/tasks/scorings.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/tasks/background_text.h"
#include "data/tasks/task.h"
#include "data/tokenizer.h"
#include "kernels/core/field_visitor.h"

namespace longhaul::data {

/// What tasks are made of; it must outlive them.
struct TaskInputs {
  const Tokenizer* tokenizer = nullptr;        ///< of tasks in words
  const BackgroundText* background = nullptr;  ///< of tasks in text; none: length 0 only
};

/// Tokens that a training row has at least.
struct LeastRow {
  int64_t tokens = 1;
  std::string holds;  ///< "strings of 50 letters (data.copy.longest)"
};

/// Files that a run both trains on and asks about.
struct SameData {
  std::string files;    ///< "": none
  std::string setting;  ///< that can name others: "evaluation.stories"
};

class TaskKind {
 public:
  virtual ~TaskKind() = default;
  virtual std::string name() const = 0;  ///< one word: `data.kind`, `longhaul eval`, result files
  virtual std::string help() const = 0;  ///< what it asks and how it is shown, a line
  virtual std::unique_ptr<TaskKind> clone() const = 0;
  /// As evaluations ask it: of files that are for training and for tests those for tests; settings
  /// that mean nothing to them are gone.
  virtual std::unique_ptr<TaskKind> for_evaluation() const { return clone(); }
  /// With the settings as they are. One task under the kind's own name, or, where it has several
  /// parts, these. InputError naming what is wrong with the files.
  virtual std::vector<std::unique_ptr<Task>> make(const TaskInputs& inputs) const = 0;

  virtual bool has_words() const { return false; }   ///< reads and writes text, by a tokenizer
  virtual bool has_depths() const { return false; }  ///< examples take ExampleRequest::depth
  /// Hides what it asks about in text of the user's; then it has words too.
  virtual bool is_in_text() const { return false; }

  virtual void visit(core::FieldVisitor& settings) { static_cast<void>(settings); }
  /// Settings of evaluations during training: `evaluation.` of a run's YAML. Names are of this kind
  /// alone.
  virtual void visit_evaluation(core::FieldVisitor& settings) { static_cast<void>(settings); }
  /// Of settings together, each "name: what is wrong".
  virtual core::Problems problems() const { return {}; }
  virtual LeastRow least_row() const { return {}; }
  /// What is trained on by these settings and asked about by those, of the same kind and for
  /// evaluation.
  virtual SameData same_data(const TaskKind& asked) const {
    static_cast<void>(asked);
    return {};
  }

  /// What --lengths of an evaluation are, and some.
  virtual std::string lengths_help() const { return "tokens of a prompt, as 2048,4096,8192"; }
  virtual int64_t least_length() const { return 0; }
  /// Options of an evaluation, to begin from.
  virtual std::string example() const { return "--lengths 2048,8192,32768 --trials 20"; }
  /// Tokens of the prompt that has a length by that measure.
  virtual int64_t prompt_of(int64_t length) const { return length; }
  /// The longest, by that measure, that a run with rows of so many tokens trains on.
  virtual int64_t longest_trained(int64_t row) const { return row; }
  /// Lengths to measure where none are given; empty: they must be.
  virtual std::vector<int64_t> usual_lengths() const { return {}; }
};

using TaskKinds = std::vector<std::unique_ptr<TaskKind>>;
/// One of each file of data/tasks/kinds, by name, with their default settings.
TaskKinds make_task_kinds();
std::unique_ptr<TaskKind> make_task_kind(const std::string& name);  ///< nullptr: none

struct Setting {
  std::string name;
  bool is_path = false;
};
std::vector<Setting> settings_of(const TaskKind& kind);

/// One task of all parts: itself, or a mixture under the kind's name.
std::unique_ptr<Task> whole_task(const TaskKind& kind, std::vector<std::unique_ptr<Task>> parts);

}  // namespace longhaul::data
