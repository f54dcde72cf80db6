#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "trainer/metrics.h"
#include "trainer/progress_lines.h"
#include "trainer/trainer.h"
#include "trainer/training_checkpoint.h"

namespace longhaul::trainer {

struct StepNumbers {
  double loss = 0, gradient_norm = 0, rate = 0, state_norm = 0;
  bool skipped = false;
  int64_t tokens = 0;  ///< of the step, over all ranks
  double seconds = 0;
};

/// Tells what happened on rank 0 (metrics and terminal); does nothing elsewhere.
class StepReport {
 public:
  /// `resumed_at`: the step a checkpoint was of, −1 in a new run. Collective.
  StepReport(const TrainerConfig& config, const TrainerParts& parts, int64_t resumed_at);

  void step(const TrainingState& state, const StepNumbers& numbers);
  void evaluation(const TrainingState& state,
                  const std::vector<std::pair<std::string, double>>& values);
  /// What was told is on disk when this returns.
  void flush();

 private:
  struct Outlets {
    MetricsWriter metrics;
    ProgressLines lines;
  };
  std::unique_ptr<Outlets> outlets_;  // on rank 0
  int64_t log_every_, last_step_;
  double flops_per_token_, peak_flops_;  // of a training step; of all ranks
};

}  // namespace longhaul::trainer
