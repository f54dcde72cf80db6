#include <CLI/CLI.hpp>

#include "kernels/core/error.h"
#include "launch/eval/curve_options.h"
#include "launch/eval/recall_options.h"

namespace longhaul::launch {

namespace {

class RecallMeasure : public Measure {
 public:
  void describe(CLI::App& eval, EvalOptions& options) override {
    command_ = eval.add_subcommand("recall", "Accuracy and states by position, associative recall");
    recall_.describe(*command_, options);
    curve_.describe(*command_);
    options.describe(*command_);
    command_->footer(
        "Example:\n  longhaul eval recall --model runs/recall/model --length 4096 --sequences 64");
  }
  bool chosen() const override { return command_->parsed(); }
  void prepare(const EvalOptions& options, const std::optional<RunConfig>& run) override {
    recall_.choose(options, run);
    if (recall_.task.query_fraction <= 0) {
      throw core::InputError(
          core::message("--query-fraction: must be above 0 (without queries there is nothing to "
                        "answer), is ",
                        recall_.task.query_fraction));
    }
  }
  void run(const EvalJob& job) override {
    write_and_print(job,
                    eval::evaluate_recall(job.mesh, job.model, recall_.task, curve_.resolve(job)));
  }

 private:
  CLI::App* command_ = nullptr;
  RecallOptions recall_;
  CurveCommandOptions curve_;
};

}  // namespace

std::unique_ptr<Measure> make_recall_measure() { return std::make_unique<RecallMeasure>(); }

}  // namespace longhaul::launch
