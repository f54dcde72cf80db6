#include <CLI/CLI.hpp>
#include <iostream>
#include <string>
#include <vector>

#include "eval/report.h"
#include "launch/command.h"
#include "launch/command_options.h"

namespace longhaul::launch {

namespace {

class ReportCommand : public Command {
 public:
  void describe(CLI::App& program) override {
    command_ =
        program.add_subcommand("report", "Tables and plots of runs side by side, one HTML file");
    command_
        ->add_option(
            "runs", runs_,
            "run folders, in the order shown; a folder with runs seed-1, seed-2 and so on "
            "in it is one arm, shown as the mean over them, and so are the runs NAME,seed=1, "
            "NAME,seed=2 and so on of a sweep")
        ->required();
    command_->add_option("--out", output_, "HTML file to write")->required();
    command_->add_option("--figures", figures_,
                         "folder where every plot is also written as an SVG file");
    command_->add_option("--csv", csv_,
                         "folder where the numbers are also written, as tables for other programs");
    command_->add_option("--title", title_, "heading of the report")->capture_default_str();
    command_->footer(
        "Example:\n  longhaul report runs/zero runs/state_passing --out report.html\n"
        "  longhaul report runs/sweep/arms/* --out sweep.html --csv sweep_numbers");
  }
  bool chosen() const override { return command_->parsed(); }

  int run(RankSession&) override {
    eval::ReportJob job;
    job.runs.assign(runs_.begin(), runs_.end());
    job.output = output_;
    job.title = title_;
    job.figures = figures_;
    job.csv = csv_;
    check_can_write("--out", output_);
    eval::write_report(job);
    std::cout << output_ << ": report of " << runs_.size() << (runs_.size() == 1 ? " run" : " runs")
              << std::endl;
    return kDone;
  }

 private:
  CLI::App* command_ = nullptr;
  std::vector<std::string> runs_;
  std::string output_;
  std::string figures_, csv_;
  std::string title_ = "longhaul: length generalization";
};

}  // namespace

std::unique_ptr<Command> make_report_command() { return std::make_unique<ReportCommand>(); }

}  // namespace longhaul::launch
