#include <CLI/CLI.hpp>
#include <iostream>

#include "eval/effrem.h"
#include "launch/eval/any_sequences.h"

namespace longhaul::launch {

namespace {

class EffRemMeasure : public Measure {
 public:
  void describe(CLI::App& eval, EvalOptions& options) override {
    command_ = eval.add_subcommand(
        "effrem", "Effect of the first tokens on what follows the last (effective remembrance)");
    sequences_.describe(*command_, options);
    options.describe(*command_);
    command_->footer(
        "Example:\n  mpirun -n 2 longhaul eval effrem --model runs/zero/model --data tokens "
        "--length 8192 --sequences 16 --json runs/zero/evaluation/effrem.json");
  }
  bool chosen() const override { return command_->parsed(); }
  void prepare(const EvalOptions& options, const std::optional<RunConfig>& run) override {
    sequences_.choose(options, run);
  }
  void run(const EvalJob& job) override {
    const eval::CurveOptions options = sequences_.resolve(job);
    const eval::Sequences sequences = sequences_.open(job, options);
    const auto result = eval::evaluate_effrem(job.mesh, job.model, sequences, options);
    if (!job.is_first) return;
    if (!job.options.json.empty()) eval::write_effrem(job.options.json, result);
    std::cout << eval::format_table(result) << std::flush;
  }

 private:
  CLI::App* command_ = nullptr;
  AnySequences sequences_;
};

}  // namespace

std::unique_ptr<Measure> make_effrem_measure() { return std::make_unique<EffRemMeasure>(); }

}  // namespace longhaul::launch
