#include "trainer/trainer.h"

#include <glog/logging.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>

#include "dist/all_ranks.h"
#include "dist/gradient_reducer.h"
#include "kernels/core/error.h"
#include "kernels/optimizer/adamw.h"
#include "trainer/checkpoint_files.h"
#include "trainer/checkpoint_writer.h"
#include "trainer/initial_state.h"
#include "trainer/micro_step.h"
#include "trainer/optimizer.h"
#include "trainer/rank_times.h"
#include "trainer/schedule.h"
#include "trainer/step_batches.h"
#include "trainer/step_report.h"
#include "trainer/training_checkpoint.h"

namespace longhaul::trainer {

namespace {

namespace fs = std::filesystem;

int64_t rows_of_rank(const BatchConfig& batch, const dist::Mesh& mesh) {
  const int64_t shares = mesh.shape().data * batch.accumulation;
  if (batch.sequences % shares != 0) {
    throw core::InputError(core::message(
        "data.sequences: is ", batch.sequences, ", expected a multiple of ", mesh.shape().data,
        " data ranks times ", batch.accumulation, " accumulation steps"));
  }
  return batch.sequences / shares;
}

dist::ShardLayout shards_of(const TrainerConfig& config, const TrainerParts& parts) {
  const core::TensorView values = parts.model.parameters().values();
  return optimizer_shards(values.elements(), parts.mesh.world().size(),
                          config.bucket_bytes / core::size_of(values.dtype()));
}

dist::GradientReducer make_reducer(const TrainerConfig& config, const TrainerParts& parts) {
  const core::TensorView gradients = parts.model.parameters().gradients();
  if (config.shard_optimizer) {
    return dist::GradientReducer(parts.mesh.world(), gradients, shards_of(config, parts));
  }
  return dist::GradientReducer(parts.mesh.world(), gradients, config.bucket_bytes);
}

Optimizer make_optimizer(const TrainerConfig& config, const TrainerParts& parts) {
  model::ParameterSet& parameters = parts.model.parameters();
  if (config.shard_optimizer) {
    return Optimizer(parts.context, parameters, config.optimizer, parts.mesh.world(),
                     shards_of(config, parts));
  }
  return Optimizer(parts.context, parameters, config.optimizer);
}

/// What a run consists of, put together.
struct Run {
  Run(const TrainerConfig& config, const TrainerParts& parts)
      : rows(rows_of_rank(config.batch, parts.mesh)),
        source(make_source(config.initial_state, {.context = parts.context,
                                                  .specs = parts.model.state_specs(),
                                                  .state_dtype = parts.model.dtype(),
                                                  .group = parts.mesh.data_group(),
                                                  .batch = rows,
                                                  .seed = config.seed})),
        micro_step(config, parts, rows),
        reducer(make_reducer(config, parts)),
        optimizer(make_optimizer(config, parts)),
        state{.model = parts.model,
              .optimizer = optimizer,
              .source = *source,
              .batches = parts.batches,
              .configuration_hash = config.configuration_hash} {}

  int64_t rows;
  std::unique_ptr<InitialStateSource> source;
  MicroStep micro_step;
  dist::GradientReducer reducer;
  Optimizer optimizer;
  TrainingState state;
};

/// Σ x² over the tensors of each kind.
struct StateSquares {
  double recurrent = 0, conv = 0;
};
StateSquares squares(core::Context& context, const std::vector<model::StateSpec>& specs,
                     const model::RecurrentState& state) {
  const std::vector<core::TensorView> views(state.begin(), state.end());
  const std::vector<double> sums = kernels::sums_of_squares(context, views);
  StateSquares of_kind;
  for (size_t i = 0; i < specs.size(); ++i) {
    const bool is_recurrent = specs[i].kind == model::StateKind::kRecurrent;
    (is_recurrent ? of_kind.recurrent : of_kind.conv) += sums[i];
  }
  return of_kind;
}

/// Gives the final states to the source if they are finite on all ranks; returns Σ x² of this
/// rank's recurrent ones, 0 on ranks that do not hold the sequences' ends.
double keep_final_state(const TrainerParts& parts, Run& run, const SourceStep& place) {
  const bool is_last = parts.mesh.sequence_rank() + 1 == parts.mesh.shape().sequence;
  const model::RecurrentState& final_state = run.micro_step.final_state();
  StateSquares sums;
  if (is_last) sums = squares(parts.context, run.state.model.state_specs(), final_state);
  if (run.source->uses_final_states()) {
    const bool is_finite = std::isfinite(sums.recurrent + sums.conv);
    const bool all_finite = parts.mesh.world().max(is_finite ? 0.0 : 1.0) == 0;
    if (all_finite) run.source->keep(place, final_state);
  }
  return sums.recurrent;
}

/// Of a step; of this rank until they are reduced.
struct StepSums {
  double loss = 0, state_squares = 0, interrupted = 0;
  double writers = 0;    ///< ranks that still write the last checkpoint
  double times_due = 0;  ///< rank 0: the ranks' times are to be compared

  void reduce(dist::Communicator& world) {
    std::vector<double> values{loss, state_squares, interrupted, writers, times_due};
    world.all_reduce_sum({values.data(), core::DType::kF64, {5}});
    loss = values[0];
    state_squares = values[1];
    interrupted = values[2];
    writers = values[3];
    times_due = values[4];
  }
};

/// Forward and backward of an optimizer step; returns when the gradients are the sum over all
/// ranks.
StepSums accumulate_gradients(const TrainerParts& parts, Run& run, const StepBatches& batches) {
  StepSums sums;
  run.reducer.begin_step();
  for (const data::Batch& batch : batches.micro) {
    const SourceStep place{.micro_step = run.state.micro_step,
                           .first_sequence = parts.mesh.data_rank() * run.rows,
                           .fresh = &batch.fresh};
    MicroStep::Work work{.batch = batch,
                         .initial = run.source->initial(place),
                         .scale = 1 / batches.weight(),
                         .overwrite_gradients = &batch == &batches.micro.front(),
                         .share_final_state = run.source->uses_final_states(),
                         .gradients_ready = nullptr};
    if (&batch == &batches.micro.back()) {
      work.gradients_ready = [&](int64_t begin, int64_t end) { run.reducer.ready(begin, end); };
    }
    sums.loss += run.micro_step.run(work);
    sums.state_squares += keep_final_state(parts, run, place);
    run.state.micro_step += 1;
  }
  run.reducer.finish();
  return sums;
}

void count_step(const Optimizer::Outcome& outcome, int64_t tokens, TrainingState& state) {
  state.step += 1;
  state.tokens += tokens;
  state.skipped += outcome.skipped ? 1 : 0;
  state.skipped_in_row = outcome.skipped ? state.skipped_in_row + 1 : 0;
}

/// Where a loss that is not finite arose; collective.
std::string origin_of(const TrainerParts& parts, double own_loss) {
  dist::Communicator& world = parts.mesh.world();
  const int behind = world.size() - world.rank();  // more the lower the rank
  const double found = world.max(std::isfinite(own_loss) ? 0.0 : static_cast<double>(behind));
  if (found == 0) return ", though every rank's loss was finite";
  return ", first on " + place_of(parts.hosts, world.size() - static_cast<int>(found));
}

/// The newest checkpoint whose parameters did a further step: those of the last step before a row
/// of skipped ones may be what makes it fail, however finite they are.
std::optional<int64_t> last_sound(const fs::path& run_folder, int64_t last_done) try {
  std::optional<int64_t> sound;
  for (const int64_t step : all_checkpoints(run_folder)) {
    if (step < last_done) sound = step;
  }
  return sound;
} catch (const core::Error& error) {
  LOG(WARNING) << error.what();
  return std::nullopt;
}

[[noreturn]] void fail_diverged(const TrainerParts& parts, const TrainingState& state,
                                const std::string& origin) {
  const int64_t last_done = state.step - state.skipped_in_row;
  const std::optional<int64_t> sound = last_sound(parts.run_folder, last_done);
  const std::string way_out =
      sound ? core::message("the last sound checkpoint is that of step ", *sound,
                            "; start a new run from it with a lower optimizer.rate: model.from=",
                            checkpoint_folder(parts.run_folder, *sound).string(), " run.folder=…")
            : std::string(
                  "no checkpoint is from before it; start again with a lower "
                  "optimizer.rate");
  throw core::Error(core::message("training has diverged: loss or gradients were not finite in ",
                                  state.skipped_in_row, " steps in a row, up to step ", state.step,
                                  origin, "; the parameters are those that step ", last_done,
                                  " left, and ", way_out));
}

void begin_anew(const TrainerParts& parts) {
  dist::on_all_ranks(parts.mesh.world(), "beginning the run", [&] {
    if (parts.mesh.world().rank() == 0) forget_saved(parts.run_folder);
  });
}

bool is_due(int64_t every, int64_t step) { return every > 0 && step % every == 0; }

/// Not in a row of skipped steps: it would push out those of parameters that could do a step.
bool checkpoint_due(const TrainerConfig& config, const TrainingState& state) {
  return is_due(config.checkpoint.every, state.step) && state.skipped_in_row == 0;
}

bool evaluation_due(const TrainerConfig& config, const TrainerParts& parts, int64_t step) {
  return parts.evaluate && (step == config.schedule.steps || is_due(config.evaluate_every, step));
}

class Loop {
 public:
  Loop(const TrainerConfig& config, const TrainerParts& parts, Run& run,
       std::optional<int64_t> resume_from)
      : config_(config),
        parts_(parts),
        run_(run),
        state_(run.state),
        report_(config, parts, resume_from.value_or(-1)),
        times_(parts.mesh.world(), parts.seconds_waited, config.straggler_window_s),
        writer_(parts.run_folder, parts.mesh, config.checkpoint, resume_from),
        is_resumed_(resume_from.has_value()) {}

  Ending train() {
    // What came while the job began: there is nothing to save.
    const bool told = is_stop() || is_interrupted_here();
    if (parts_.mesh.world().max(told ? 1 : 0) > 0 && !is_last()) return Ending::kInterrupted;
    if (owes_evaluation()) {
      if (!evaluate()) return Ending::kInterrupted;
      writer_.add_evaluation(state_);
    }
    while (!is_last()) {
      if (parts_.activity) parts_.activity(core::message("step ", state_.step + 1));
      const StepSums sums = step();
      if (state_.skipped_in_row >= config_.optimizer.skips_in_row) stop_diverged();
      if (writer_.is_begun() && sums.writers == 0) finish_begun();
      if (evaluate_and_save(sums.interrupted > 0) == Ending::kInterrupted) {
        return Ending::kInterrupted;
      }
    }
    return Ending::kDone;
  }

 private:
  bool is_last() const { return state_.step >= config_.schedule.steps; }
  /// Whether somebody else is to decide how the run goes on.
  bool is_stop() const { return config_.stop_at > 0 && state_.step >= config_.stop_at; }
  bool owes_evaluation() const {
    return is_resumed_ && state_.evaluation.empty() && evaluation_due(config_, parts_, state_.step);
  }
  bool is_interrupted_here() const { return parts_.interrupted && parts_.interrupted(); }

  /// The sums over all ranks.
  StepSums step() {
    const auto start = std::chrono::steady_clock::now();
    times_.begin_step();
    const StepBatches batches = next_batches(parts_, config_.batch.accumulation);
    if (batches.failure) {
      save_before_end();
      std::rethrow_exception(batches.failure);
    }
    StepSums sums = accumulate_gradients(parts_, run_, batches);
    const double own_loss = sums.loss;
    sums.interrupted = is_interrupted_here() ? 1 : 0;
    sums.writers = writer_.is_busy() ? 1 : 0;
    sums.times_due = times_.is_due() ? 1 : 0;
    sums.reduce(parts_.mesh.world());
    times_.end_step();

    const double rate = learning_rate(config_.schedule, config_.optimizer.rate, state_.step);
    writer_.wait_for_copy();
    const Optimizer::Outcome outcome = run_.optimizer.step(rate, std::isfinite(sums.loss));
    const int64_t tokens = config_.batch.sequences * config_.batch.length;
    count_step(outcome, tokens, state_);
    origin_ = outcome.skipped ? origin_of(parts_, own_loss) : "";
    const auto sequences = static_cast<double>(config_.batch.sequences);
    report_.step(state_, {.loss = batches.mean_loss(sums.loss),
                          .gradient_norm = outcome.gradient_norm,
                          .rate = rate,
                          .state_norm = std::sqrt(sums.state_squares / sequences),
                          .skipped = outcome.skipped,
                          .origin = origin_,
                          .tokens = tokens,
                          .seconds = seconds_since(start),
                          .data_seconds = batches.seconds});
    if (sums.times_due > 0) report_.rank_times(state_, times_.gather());
    return sums;
  }

  /// After a step; `is_told`: a rank was interrupted.
  Ending evaluate_and_save(bool is_told) {
    bool is_interrupted = is_told || is_stop();
    state_.evaluation.clear();
    // A run that is told to stop has little time: it saves, and evaluates when it is resumed.
    if (!is_told && evaluation_due(config_, parts_, state_.step)) is_interrupted |= !evaluate();
    if (is_last() && state_.skipped_in_row > 0) report_.skipped_end(state_);
    if (is_last() || is_interrupted || checkpoint_due(config_, state_)) {
      save(/*must_succeed=*/is_last() || is_interrupted);
    }
    const bool is_whole = is_last() && (!state_.evaluation.empty() || !parts_.evaluate);
    return is_interrupted && !is_whole ? Ending::kInterrupted : Ending::kDone;
  }

  /// False if it was interrupted; then the step has no evaluation yet.
  bool evaluate() {
    const std::optional<Numbers> numbers = parts_.evaluate(state_.step);
    state_.evaluation = numbers.value_or(Numbers{});
    if (numbers) report_.evaluation(state_, state_.evaluation);
    return numbers.has_value();
  }

  void save(bool must_succeed) {
    report_.flush();
    if (writer_.is_begun()) finish_begun();
    const auto write = [&] {
      writer_.begin(state_);
      if (must_succeed || !config_.checkpoint.background) writer_.finish();
    };
    must_succeed ? write() : try_to_save(write);
  }

  void finish_begun() {
    try_to_save([&] { writer_.finish(); });
  }

  /// For a checkpoint that the run can do without: the next one may succeed. What fails, fails on
  /// all ranks alike.
  template <class Work>
  void try_to_save(const Work& work) {
    try {
      work();
    } catch (const core::Error& error) {
      report_.lost_checkpoint(state_, error.what());
    }
  }

  /// What was done before the data could not be read: whoever mends it goes on from there.
  void save_before_end() {
    report_.flush();
    if (writer_.is_begun()) finish_begun();
    if (state_.step == 0 || writer_.newest() == state_.step) return;
    try_to_save([&] {
      writer_.begin(state_);
      writer_.finish();
      LOG_IF(WARNING, parts_.mesh.world().rank() == 0)
          << "the data cannot be read any further; saved after step " << state_.step;
    });
  }

  [[noreturn]] void stop_diverged() {
    report_.flush();
    if (writer_.is_begun()) finish_begun();
    fail_diverged(parts_, state_, origin_);
  }

  const TrainerConfig& config_;
  const TrainerParts& parts_;
  Run& run_;
  TrainingState& state_;
  StepReport report_;
  RankTimes times_;
  CheckpointWriter writer_;
  bool is_resumed_;
  std::string origin_;  // of the last step, where it was skipped
};

}  // namespace

Ending train(const TrainerConfig& config, const TrainerParts& parts,
             std::optional<int64_t> resume_from) {
  Run run(config, parts);
  if (resume_from) {
    load_training_checkpoint(parts.run_folder, *resume_from, parts.mesh, run.state);
  } else {
    begin_anew(parts);
  }
  return Loop(config, parts, run, resume_from).train();
}

}  // namespace longhaul::trainer
