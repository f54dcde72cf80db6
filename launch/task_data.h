// The task that a run trains on (data/tasks/task_kind.h) with all that it reads.
#pragma once

#include <memory>

#include "data/tasks/background_text.h"
#include "data/tasks/task.h"
#include "data/token_data.h"
#include "data/tokenizer.h"
#include "launch/run_config.h"

namespace longhaul::launch {

class TaskData {
 public:
  enum class Use { kTraining, kEvaluation };  ///< of which files
  /// `config.data.kind` is a task's; `options` are of files of the text that it is hidden in.
  /// InputError naming what is wrong with the files.
  TaskData(const RunConfig& config, const data::TokenDataOptions& options, Use use);

  const data::Task& task() const { return *task_; }
  std::string description() const;

 private:
  // In order: later ones refer to earlier ones.
  std::unique_ptr<data::Tokenizer> tokenizer_;
  std::unique_ptr<data::TokenData> tokens_;
  std::unique_ptr<data::BackgroundText> background_;
  std::unique_ptr<data::Task> task_;
};

}  // namespace longhaul::launch
