#include <CLI/CLI.hpp>
#include <optional>

#include "eval/conditions.h"
#include "launch/eval/curve_options.h"

namespace longhaul::launch {

namespace {

class PerplexityMeasure : public Measure {
 public:
  void describe(CLI::App& eval, EvalOptions& options) override {
    command_ =
        eval.add_subcommand("perplexity", "Loss, perplexity and states by position, on text");
    text_.describe(*command_);
    text_.describe_windows(*command_);
    curve_.describe(*command_);
    command_
        ->add_option("--window", window_,
                     "read every sequence in windows of so many tokens, each from the initial "
                     "state: what the model reaches at these positions with short context, a floor "
                     "to tell failures by (the training length suits). Windows begin half a window "
                     "apart, and of each the last half counts, of the first all: every token is "
                     "predicted from more than half a window. Ranks that share a sequence share "
                     "its windows. Without states; reads twice the tokens")
        ->check(whole_number(2));
    options.describe(*command_);
    command_->footer(
        "Example:\n  mpirun -n 2 longhaul eval perplexity --model runs/zero/model --data tokens "
        "--length 8192 --sequences 16 --json runs/zero/evaluation/perplexity.json");
  }
  bool chosen() const override { return command_->parsed(); }

  void prepare(const EvalOptions&, const std::optional<RunConfig>& run) override { run_ = run; }

  void run(const EvalJob& job) override {
    const auto tokens = text_.open(job.model, job.options.model);
    eval::CurveOptions options = curve_.resolve(job);
    if (run_ && text_.are_trained_on(*tokens, *run_)) {
      options.continuation.notes.emplace_back(eval::kTrainedOn, "yes");
      if (job.is_first) {
        note(core::message(job.options.model, " is measured on the data it was trained on (",
                           text_.data, ")"));
      }
    }
    options.windows = text_.window_begin();
    options.window = window_;
    write_and_print(job, eval::evaluate_text(job.mesh, job.model, *tokens, options));
  }

 private:
  CLI::App* command_ = nullptr;
  TextOptions text_;
  CurveCommandOptions curve_;
  int64_t window_ = 0;
  std::optional<RunConfig> run_;
};

}  // namespace

std::unique_ptr<Measure> make_perplexity_measure() { return std::make_unique<PerplexityMeasure>(); }

}  // namespace longhaul::launch
