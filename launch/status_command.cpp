#include <CLI/CLI.hpp>
#include <iostream>
#include <string>
#include <vector>

#include "kernels/core/fields.h"
#include "launch/command.h"
#include "launch/run_status.h"

namespace longhaul::launch {

namespace {

class StatusCommand : public Command {
 public:
  void describe(CLI::App& program) override {
    command_ = program.add_subcommand(
        "status", "Step, speed, loss, time left, checkpoint and warnings of runs, one row each");
    command_->add_option("runs", runs_, "run folders, also while they run")->required();
    command_->footer(
        "loss: of the newest step; at end: of the newest evaluation, at the end of its sequences.\n"
        "Example:\n  longhaul status runs/zero runs/state_passing");
  }
  bool chosen() const override { return command_->parsed(); }

  int run(RankSession&) override {
    std::vector<RunStatus> rows;
    core::Problems problems;
    for (const std::string& folder : runs_) {
      try {
        rows.push_back(read_run_status(folder));
      } catch (const core::InputError& error) {
        problems.insert(problems.end(), error.problems().begin(), error.problems().end());
      }
    }
    if (!rows.empty()) std::cout << status_table(rows) << std::flush;
    if (!problems.empty()) throw core::InputError(problems);
    return kDone;
  }

 private:
  CLI::App* command_ = nullptr;
  std::vector<std::string> runs_;
};

}  // namespace

std::unique_ptr<Command> make_status_command() { return std::make_unique<StatusCommand>(); }

}  // namespace longhaul::launch
