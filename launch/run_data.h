// The data that a run's configuration names.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/batch.h"
#include "data/samplers.h"
#include "data/token_data.h"
#include "data/tokenizer_files.h"
#include "eval/perplexity.h"
#include "launch/run_config.h"
#include "launch/task_data.h"

namespace longhaul::launch {

class RunData {
 public:
  /// Opens the tokens, if it is about files; `config` must outlive this.
  /// InputError where the data of training or of its evaluations cannot be what is asked for.
  explicit RunData(const RunConfig& config);

  int64_t vocabulary() const;
  /// Contiguous lanes where h₀ comes from the same lane's last segment, else random windows.
  std::unique_ptr<data::BatchSource> batches(data::RowShare share) const;
  /// Collective: over config.evaluation's sequences, in pieces no larger than a micro-step of
  /// training. Throws eval::Interrupted on every rank where the process was told to stop.
  eval::PositionCurve evaluate(const dist::Mesh& mesh, model::LanguageModel& model) const;
  std::string description() const;
  /// What evaluations during training read, and whether that is trained on; "" where there are none
  /// or the task makes new examples for them.
  std::string evaluation_description() const;
  std::string map() const;  ///< lines with the two, as dry runs and runs show them
  /// Of the tokenizer whose tokens these are, as far as they are at hand.
  std::vector<data::TokenizerFile> tokenizer_files() const;

 private:
  void open_tokens(const data::TokenDataOptions& options);
  void prepare_evaluation(const data::TokenDataOptions& options);
  std::string evaluation_on_trained() const;

  const RunConfig& config_;
  std::unique_ptr<data::TokenData> tokens_, evaluation_tokens_;
  std::unique_ptr<TaskData> task_, evaluation_task_;
  eval::CurveOptions evaluation_options_;
  eval::Sequences evaluation_;
};

}  // namespace longhaul::launch
