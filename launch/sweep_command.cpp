#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>

#include "kernels/core/error.h"
#include "launch/command.h"
#include "launch/command_options.h"
#include "launch/field_list.h"
#include "launch/rank_session.h"
#include "launch/sweep/arm_pool.h"
#include "launch/sweep/slurm_array.h"
#include "launch/sweep/sweep_report.h"
#include "launch/sweep/sweep_run.h"
#include "model/checkpoint/atomic_file.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;

class SweepCommand : public Command {
 public:
  void describe(CLI::App& program) override {
    command_ = program.add_subcommand("sweep",
                                      "Many runs from one YAML: grid, list or random search, on "
                                      "this machine or as a Slurm array");
    command_->add_option("config", file_, "the sweep's YAML");
    command_->add_flag("--keys", keys_, "print every key of a sweep's YAML and its default");
    command_->add_flag("--dry-run", dry_run_, "check and list the arms; run and write nothing");
    command_->add_flag("--retry-failed", retry_failed_, "give arms that failed new attempts");
    auto* slurm = command_->add_flag("--slurm", slurm_,
                                     "submit the arms as a Slurm job array, a task an arm");
    command_->add_flag("--no-submit", no_submit_, "--slurm: write the batch script only")
        ->needs(slurm);
    command_->add_option("--arm", arm_, "run this arm alone, as a job of its own");
    status_ = command_->add_subcommand("status", "One row an arm, also while the sweep runs");
    status_->add_option("config", file_, "the sweep's YAML")->required();
    report_ = command_->add_subcommand(
        "report", "Recipes sorted by the metric, plots, and the best one as YAML");
    report_->add_option("config", file_, "the sweep's YAML")->required();
    report_->add_option("--out", output_, "HTML file; default: FOLDER/report.html");
    report_->add_option("--csv", csv_,
                        "folder where the numbers are also written, as tables for other programs");
    command_->require_subcommand(0, 1);
    command_->footer(
        "Again, it does what is missing.\nExample:\n"
        "  longhaul sweep SWEEP.yaml\n"
        "  longhaul sweep status SWEEP.yaml\n"
        "  longhaul sweep report SWEEP.yaml");
  }
  bool chosen() const override { return command_->parsed(); }

  int run(RankSession& session) override {
    if (keys_) return list_keys();
    if (file_.empty()) throw core::InputError("config is required (see sweep --help)");
    if (session.size() > 1) {
      throw core::InputError(core::message("sweep: found ", session.size(),
                                           " ranks, expected to be started without mpirun, which ",
                                           "it starts for its arms"));
    }
    const SweepConfig sweep = read_sweep_config(file_);
    const ArmList list = expand_arms(sweep);
    if (status_->parsed()) {
      std::cout << arm_table(sweep, list, read_standing(sweep, list)) << std::flush;
      return kDone;
    }
    if (report_->parsed()) return report(sweep, list);
    if (dry_run_) return dry_run(sweep, list);
    if (!arm_.empty()) return run_arm(sweep, list, arm_);
    if (retry_failed_) forget_failures(sweep, list);
    if (slurm_) {
      std::cout << submit_array(sweep, list, file_, !no_submit_) << std::endl;
      return kDone;
    }
    return run_sweep(sweep, list);
  }

 private:
  int report(const SweepConfig& sweep, const ArmList& list) const {
    const auto results = sweep_results(sweep, list, read_standing(sweep, list));
    const fs::path page =
        output_.empty() ? fs::path(sweep.folder) / "report.html" : fs::path(output_);
    std::cout << recipe_table(sweep, results) << std::flush;
    model::make_folder_of(page);
    model::write_file_atomically(page, report_page(sweep, results));
    if (!csv_.empty()) write_sweep_csv(csv_, sweep, results);
    std::cout << "report         " << page.string() << std::endl;
    if (const auto best = best_recipe_yaml(sweep, results)) {
      const fs::path file = fs::path(sweep.folder) / "best.yaml";
      model::write_file_atomically(file, *best);
      std::cout << "best recipe    " << file.string() << std::endl;
    }
    return kDone;
  }

  static int list_keys() {
    std::cout
        << keys_of<SweepConfig>()
        << "values: {}  # key of a run's YAML: list of values; random also {low, high, scale: "
        << "linear | log, whole: true | false}\n"
        << "arms: []  # list: {key: value, …} of each arm\n"
        << "measures: []  # taken of every arm once it is trained: {perplexity: {data: tokens, "
        << "length: 65536, sequences: 16}}, any measure of longhaul eval with its options, - as _; "
        << "name: of the file, where two are of one kind" << std::endl;
    return kDone;
  }

  static int dry_run(const SweepConfig& sweep, const ArmList& list) {
    check_sweep_folder(sweep);
    check_measures(sweep, list);
    const int64_t at_once = arms_at_once(sweep, list);
    size_t arms = 0;
    for (const Recipe& recipe : list.recipes) {
      for (const Arm& arm : recipe.arms) {
        std::cout << arm.name << "\n";
        ++arms;
      }
    }
    std::cout << arms << " arms of " << list.recipes.size() << " recipes; " << list.excluded
              << " recipes excluded by constraints; " << at_once << " at once" << std::endl;
    return kDone;
  }

  CLI::App* command_ = nullptr;
  CLI::App* status_ = nullptr;
  CLI::App* report_ = nullptr;
  std::string file_, output_, csv_, arm_;
  bool keys_ = false, dry_run_ = false, retry_failed_ = false, slurm_ = false, no_submit_ = false;
};

}  // namespace

std::unique_ptr<Command> make_sweep_command() { return std::make_unique<SweepCommand>(); }

}  // namespace longhaul::launch
