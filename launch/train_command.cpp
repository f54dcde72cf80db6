#include <glog/logging.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <string>
#include <vector>

#include "kernels/core/cuda_memory.h"
#include "launch/command.h"
#include "launch/command_options.h"
#include "launch/environment/environment_check.h"
#include "launch/field_list.h"
#include "launch/rank_session.h"
#include "launch/run_config.h"
#include "launch/run_data.h"
#include "launch/run_folder.h"
#include "launch/run_plan.h"
#include "launch/run_rules.h"
#include "launch/training_run.h"
#include "model/checkpoint/model_folder.h"

namespace longhaul::launch {

namespace {

class TrainCommand : public Command {
 public:
  void describe(CLI::App& program) override {
    command_ = program.add_subcommand("train", "Post-trains a model, or trains one from scratch");
    command_->add_option("config", file_, "the run's YAML");
    command_->add_flag("--keys", keys_, "print every key of a run's YAML and its default");
    command_->add_option("overrides", overrides_, "key.path=value: replaces a value of the YAML");
    auto* resume = command_->add_flag(
        "--resume", resume_, "continue from the newest checkpoint, or start where there is none");
    command_
        ->add_flag("--skip-damaged", skip_damaged_,
                   "--resume: where the newest checkpoint is damaged, from the newest sound one")
        ->needs(resume);
    command_->add_option("--until", until_, "save and stop at this step, as after SIGTERM")
        ->check(whole_number(1));
    command_->add_flag("--dry-run", dry_run_,
                       "check everything, print the resolved configuration, mesh, memory and "
                       "communication; train and "
                       "write nothing");
    command_->add_option("--ranks", ranks_, "--dry-run: as if mpirun had started so many ranks")
        ->check(whole_number(1));
    command_->footer(
        "Example:\n  mpirun -n 2 longhaul train configs/quickstart/arm.yaml "
        "initial_state.source=state_passing run.folder=runs/state_passing");
  }
  bool chosen() const override { return command_->parsed(); }
  bool uses_ranks() const override { return true; }

  int run(RankSession& session) override {
    if (keys_) return list_keys(session);
    if (file_.empty()) throw core::InputError("config is required (see train --help)");
    const RunConfig config = read_run_config(file_, overrides_);
    const int64_t started = session.world().size();
    const int64_t ranks = dry_run_ && ranks_ > 0 ? ranks_ : started;
    if (ranks_ > 0 && !dry_run_) throw core::InputError("--ranks: is for --dry-run only");
    check_against_world(config, ranks);
    const RunConfig known = with_known_model(config);
    const RunData data(known);
    model::ModelConfig shape;
    RunConfig resolved = resolve(known, ranks, data.vocabulary(), shape);
    resolved.model.from = config.model.from;
    if (resume_ && !config.model.from.empty()) {
      shape = shape_to_resume(resolved, shape, session.is_first());
    }
    const RunPlan plan =
        plan_run(resolved, shape, ranks, choose_threads(resolved.parallel.threads, session));
    if (dry_run_) {
      data.batches({.data_ranks = plan.mesh.data, .data_rank = 0, .rows = plan.rows});
      check_folder(session, resolved);
      if (session.is_first()) {
        std::cout << to_yaml(resolved) << "\n"
                  << data.map() << launch::describe(plan, resolved) << std::flush;
        warn_of_memory(plan, ranks);
        warn_of_device(resolved);
      }
      return kDone;
    }
    return run_training(session, {.config = resolved,
                                  .data = data,
                                  .shape = shape,
                                  .plan = plan,
                                  .resume = !resume_        ? trainer::Resume::kNo
                                            : skip_damaged_ ? trainer::Resume::kNewestSound
                                                            : trainer::Resume::kNewest,
                                  .until = until_});
  }

 private:
  /// A run that is resumed has its model: what it began from may be gone by then.
  RunConfig with_known_model(const RunConfig& config) const {
    if (!resume_ || config.model.from.empty()) return config;
    try {
      model::read_model_config(config.model.from);
      return config;
    } catch (const core::InputError&) {
      const auto step = trainer::newest_checkpoint(config.run.folder);
      if (!step) throw;
      RunConfig known = config;
      known.model.from = trainer::checkpoint_folder(config.run.folder, *step).string();
      return known;
    }
  }

  static int list_keys(RankSession& session) {
    if (session.is_first()) std::cout << keys_of<RunConfig>() << std::flush;
    return kDone;
  }

  static void warn_of_device(const RunConfig& config) {
    const bool wants_cuda =
        config.run.device == DeviceChoice::kCuda || config.run.dtype == DTypeChoice::kBF16;
    LOG_IF(WARNING, wants_cuda && !core::cuda_available())
        << "run.device: cuda cannot be used here, so that the run would be refused: "
        << core::cuda_unavailable_reason();
  }

  static void warn_of_memory(const RunPlan& plan, int64_t ranks) {
    std::string problem = memory_problem(free_memory(), ranks, host_bytes(plan));
    if (core::cuda_available() && problem.empty()) {
      const core::Device device{.kind = core::DeviceKind::kCuda, .index = 0};
      problem = device_memory_problem(core::cuda_memory(device).total, device_bytes(plan));
    }
    LOG_IF(WARNING, !problem.empty()) << "this host " << problem;
  }

  /// What a run would be refused for once its ranks begin.
  void check_folder(RankSession& session, const RunConfig& config) const {
    if (session.is_first()) check_run_folder(config.run.folder);
    const auto step =
        trainer::checkpoint_to_resume(config.run.folder, session.world(),
                                      resume_ ? trainer::Resume::kNewest : trainer::Resume::kNo);
    if (session.is_first() && step) check_resumption(config, *step);
  }

  CLI::App* command_ = nullptr;
  std::string file_;
  std::vector<std::string> overrides_;
  bool resume_ = false, skip_damaged_ = false, dry_run_ = false, keys_ = false;
  int64_t ranks_ = 0, until_ = 0;
};

}  // namespace

std::unique_ptr<Command> make_train_command() { return std::make_unique<TrainCommand>(); }

}  // namespace longhaul::launch
