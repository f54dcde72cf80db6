#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "trainer/metrics.h"
#include "trainer/progress_lines.h"
#include "trainer/straggler_detector.h"
#include "trainer/trainer.h"
#include "trainer/training_checkpoint.h"

namespace longhaul::trainer {

/// "rank 3 (host b)"; `hosts` by rank, may be empty.
std::string place_of(const std::vector<std::string>& hosts, int rank);

struct StepNumbers {
  std::optional<double> loss;  ///< absent where the step had no label
  double gradient_norm = 0, rate = 0, state_norm = 0;
  bool skipped = false;
  std::string origin;  ///< of a skipped step: ", first on rank 3 (host b)"
  int64_t tokens = 0;  ///< of the step, over all ranks
  double seconds = 0;
  double data_seconds = 0;  ///< of these, waited for batches; mean over ranks
};

/// What a record "train" holds; `utilisation` 0: not known, and not among them.
Numbers train_numbers(const StepNumbers& numbers, double utilisation);

/// Tells what happened on rank 0 (metrics and terminal); does nothing elsewhere.
class StepReport {
 public:
  /// `resumed_at`: the step a checkpoint was of, −1 in a new run. Collective.
  StepReport(const TrainerConfig& config, const TrainerParts& parts, int64_t resumed_at);

  void step(const TrainingState& state, const StepNumbers& numbers);
  /// Of a window, by rank; of use on rank 0. Warns when a rank becomes a straggler, and again when
  /// it is none any more.
  void rank_times(const TrainingState& state, const std::vector<double>& seconds);
  void evaluation(const TrainingState& state,
                  const std::vector<std::pair<std::string, double>>& values);
  /// The run ends in a row of skipped steps.
  void skipped_end(const TrainingState& state);
  /// A checkpoint could not be written; the run goes on without it.
  void lost_checkpoint(const TrainingState& state, const std::string& why);
  /// What was told is on disk when this returns.
  void flush();

 private:
  struct Outlets {
    MetricsWriter metrics;
    ProgressLines lines;
  };
  dist::Communicator& world_;
  std::unique_ptr<Outlets> outlets_;  // on rank 0
  StragglerDetector stragglers_;
  std::vector<std::string> hosts_;
  int64_t log_every_, last_step_;
  double flops_per_token_, peak_flops_;  // of a training step; of all ranks
};

}  // namespace longhaul::trainer
