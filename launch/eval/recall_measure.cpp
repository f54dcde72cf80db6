#include <CLI/CLI.hpp>

#include "kernels/core/error.h"
#include "launch/eval/curve_options.h"

namespace longhaul::launch {

namespace {

class RecallMeasure : public Measure {
 public:
  void describe(CLI::App& eval, EvalOptions& options) override {
    command_ = eval.add_subcommand("recall", "Accuracy and states by position, associative recall");
    auto* run = command_->add_option("--run", options.run,
                                     "take the task from this run.yaml; default: that "
                                     "of the run that the model lies in");
    task_options_ = command_->add_option_group("task", "the task itself");
    task_options_->add_option("--keys", task_.keys, "size of the key alphabet")
        ->check(whole_number(2))
        ->excludes(run);
    task_options_->add_option("--values", task_.values, "size of the value alphabet")
        ->check(whole_number(2))
        ->excludes(run);
    task_options_->add_option("--reach", task_.reach, "pairs that a query reaches back at most")
        ->check(whole_number(1))
        ->excludes(run);
    task_options_
        ->add_option("--query-fraction", task_.query_fraction, "share of pairs that are queries")
        ->check(CLI::Range(0.0, 1.0))
        ->excludes(run);
    curve_.describe(*command_);
    options.describe(*command_);
    command_->footer(
        "Example:\n  longhaul eval recall --model runs/recall/model --length 4096 --sequences 64");
  }
  bool chosen() const override { return command_->parsed(); }

  // The task is that of --run, else of the options, else of the run that the model lies in.
  void prepare(const EvalOptions& options, const std::optional<RunConfig>& run) override {
    const bool by_options = task_options_->count_all() > 0;
    if (by_options) return;
    if (!run || run->data.kind != DataKind::kRecall) {
      throw core::InputError(
          core::message(options.run.empty() ? options.model : options.run,
                        run ? ": is of a run on text" : ": lies in no run folder",
                        ", expected --run RUN.yaml of a recall run, or --keys, --values, …"));
    }
    task_ = run->data.recall;
  }

  void run(const EvalJob& job) override {
    write_and_print(job, eval::evaluate_recall(job.mesh, job.model, task_, curve_.resolve(job)));
  }

 private:
  CLI::App* command_ = nullptr;
  CLI::App* task_options_ = nullptr;
  data::RecallTask task_;
  CurveCommandOptions curve_;
};

}  // namespace

std::unique_ptr<Measure> make_recall_measure() { return std::make_unique<RecallMeasure>(); }

}  // namespace longhaul::launch
