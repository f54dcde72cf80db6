// The loop.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/batch.h"
#include "dist/mesh.h"
#include "dist/state_exchange.h"
#include "model/language_model.h"
#include "trainer/config.h"

namespace longhaul::trainer {

using Numbers = std::vector<std::pair<std::string, double>>;

struct TrainerConfig {
  InitialStateConfig initial_state;
  OptimizerConfig optimizer;
  ScheduleConfig schedule;
  BatchConfig batch;
  CheckpointConfig checkpoint;
  dist::ExchangeAlgorithm exchange = dist::ExchangeAlgorithm::kAutomatic;
  bool full_gradient = true;  ///< parallel.gradient: full | truncated
  int64_t bucket_bytes = int64_t{4} << 20;
  bool cuda_graphs = false;      ///< passes on a device are recorded and launched as a whole
  bool shard_optimizer = false;  ///< over all ranks (ZeRO-1); results are the same bits
  uint64_t seed = 0;
  double straggler_window_s = 0;  ///< over which ranks' times are compared; 0: never
  int64_t log_every = 1;       ///< steps between terminal lines, 0: none; metrics have every step
  int64_t evaluate_every = 0;  ///< 0: at the end only
  int64_t stop_at = 0;         ///< step that interrupts the run as a signal would; 0: none
  double peak_flops = 0;       ///< of this rank, for utilisation; 0: not reported
  uint64_t configuration_hash =
      0;  ///< stored in checkpoints; another one at resumption is warned of
};

/// What the run is made of; everything outlives the trainer. The functions may be empty.
struct TrainerParts {
  core::Context& context;
  const dist::Mesh& mesh;
  model::LanguageModel& model;
  data::BatchSource& batches;  ///< of rows: batch.sequences / (data ranks · accumulation)
  std::filesystem::path run_folder;
  /// Called on every rank at evaluation steps and at the end; returns named numbers to record (rank
  /// 0's are written), or on every rank nothing where it was interrupted: then the run saves and
  /// stops, and the resumed one evaluates that step first.
  std::function<std::optional<Numbers>(int64_t step)> evaluate;
  /// Polled on every rank before the first step and once a step: true saves and stops (a signal
  /// arrived here; the ranks agree on it).
  std::function<bool()> interrupted;
  /// Names what is being done, for messages of the communicator's time limit.
  std::function<void(const std::string&)> activity;
  /// Seconds that this rank has waited for others so far; where given, the ranks' own times are
  /// compared.
  std::function<double()> seconds_waited;
  std::vector<std::string> hosts;  ///< by rank, for messages
};

enum class Ending { kDone, kInterrupted };

/// Collective. Trains from the checkpoint of step `resume_from` (checkpoint_to_resume; the same on
/// all ranks), without one from the model as it is. Returns once schedule.steps are done or an
/// interruption is saved. Throws core::Error when skips_in_row is reached, when the last checkpoint
/// or that of an interruption cannot be written (of others a warning is left), and, after saving,
/// what `batches` throws on any rank.
Ending train(const TrainerConfig& config, const TrainerParts& parts,
             std::optional<int64_t> resume_from);

}  // namespace longhaul::trainer
