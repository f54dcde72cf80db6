#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "launch/command.h"
#include "launch/command_options.h"
#include "launch/environment/job_environment.h"
#include "launch/environment/shared_folder.h"
#include "launch/rank_session.h"
#include "launch/run_config.h"
#include "launch/run_data.h"
#include "launch/run_plan.h"
#include "launch/run_rules.h"

namespace longhaul::launch {

namespace {

class CheckCommand : public Command {
 public:
  void describe(CLI::App& program) override {
    command_ = program.add_subcommand(
        "check", "Whether a job can run where its ranks are: what train checks before it begins");
    command_->add_option("config", file_, "the run's YAML: its folder, device and checkpoints");
    command_->add_option("overrides", overrides_, "key.path=value: replaces a value of the YAML");
    command_->footer("Example:\n  mpirun -n 8 longhaul check run.yaml");
  }
  bool chosen() const override { return command_->parsed(); }
  bool uses_ranks() const override { return true; }

  int run(RankSession& session) override {
    check_environment(session, file_.empty() ? job_of_nothing(session) : job_of_run(session), true,
                      std::cout);
    return kDone;
  }

 private:
  static JobEnvironment job_of_nothing(const RankSession& session) {
    return {.folder = existing_folder("."),
            .device = choose_device(DeviceChoice::kAuto, session),
            .threads = choose_threads(0, session),
            .needs = {.folder = "the working folder"}};
  }

  JobEnvironment job_of_run(RankSession& session) const {
    const RunConfig config = read_run_config(file_, overrides_);
    session.set_time_limit(config.parallel.time_limit_s);
    const int64_t ranks = session.size();
    check_against_world(config, ranks);
    model::ModelConfig shape;
    const RunConfig resolved = resolve(config, ranks, RunData(config).vocabulary(), shape);
    const int threads = choose_threads(config.parallel.threads, session);
    const RunPlan plan = plan_run(resolved, shape, ranks, threads);
    return {.folder = existing_folder(config.run.folder),
            .device = choose_device(config.run.device, session),
            .threads = threads,
            .needs = needs_of(plan, config.run.folder)};
  }

  CLI::App* command_ = nullptr;
  std::string file_;
  std::vector<std::string> overrides_;
};

}  // namespace

std::unique_ptr<Command> make_check_command() { return std::make_unique<CheckCommand>(); }

}  // namespace longhaul::launch
