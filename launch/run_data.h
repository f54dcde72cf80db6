// The data that a run's configuration names.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "data/batch.h"
#include "data/samplers.h"
#include "data/token_data.h"
#include "eval/perplexity.h"
#include "launch/run_config.h"
#include "launch/task_data.h"

namespace longhaul::launch {

class RunData {
 public:
  /// Opens the tokens, if it is about files; `config` must outlive this.
  explicit RunData(const RunConfig& config);

  int64_t vocabulary() const;
  /// Contiguous lanes where h₀ comes from the same lane's last segment, else random windows.
  std::unique_ptr<data::BatchSource> batches(const data::RowShare& share) const;
  /// Loss, perplexity and accuracy over everything, and loss where the sequences end.
  eval::PositionCurve evaluate(const dist::Mesh& mesh, model::LanguageModel& model) const;
  std::string description() const;

 private:
  const RunConfig& config_;
  std::unique_ptr<data::TokenData> tokens_, evaluation_;
  std::unique_ptr<TaskData> task_;
};

}  // namespace longhaul::launch
