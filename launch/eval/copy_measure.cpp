#include <CLI/CLI.hpp>
#include <algorithm>

#include "data/tasks/copy_task.h"
#include "kernels/core/error.h"
#include "launch/eval/task_options.h"

namespace longhaul::launch {

namespace {

/// From half the training length to four times it.
constexpr double kMultiples[] = {0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4};

class CopyMeasure : public Measure {
 public:
  void describe(CLI::App& eval, EvalOptions& options) override {
    command_ = eval.add_subcommand("copy", "Saying strings again: right letters by length");
    task_.describe(*command_,
                   "letters of a string, as 50,100,200; default: up to four times the longest of "
                   "the run that the model lies in");
    auto* run = command_->add_option(
        "--run", options.run,
        "take the alphabet from this run.yaml; default: that of the run that the model lies in");
    command_->add_option("--letters", letters_, "size of the alphabet")
        ->check(whole_number(2))
        ->excludes(run);
    command_->add_flag("--free", free_,
                       "the model goes on from its own letters; default: from the right ones "
                       "(teacher forced), as Jelassi et al. count");
    options.describe(*command_);
    command_->footer(
        "Example:\n  longhaul eval copy --model runs/copy/model --trials 100 --json "
        "runs/copy/evaluation/copy.json");
  }
  bool chosen() const override { return command_->parsed(); }

  void prepare(const EvalOptions& options, const std::optional<RunConfig>& run) override {
    const bool is_copy = run && run->data.kind == DataKind::kCopy;
    if (letters_ == 0 && !is_copy) {
      throw core::InputError(core::message(options.run.empty() ? options.model : options.run,
                                           ": is of no run of data.kind copy, expected --run "
                                           "RUN.yaml of one, or --letters and --lengths"));
    }
    config_.letters = letters_ > 0 ? letters_ : run->data.copy.letters;
    if (is_copy) longest_ = run->data.copy.longest;
    if (!task_.lengths.empty()) return;
    if (longest_ == 0) throw core::InputError("--lengths: is not given, expected letters");
    for (const double multiple : kMultiples) {
      task_.lengths.push_back(
          std::max<int64_t>(1, static_cast<int64_t>(multiple * static_cast<double>(longest_))));
    }
  }

  void run(const EvalJob& job) override {
    const auto task = data::make_copy_task(config_);
    const auto scorer = eval::make_copy_scorer(free_ ? eval::CopyAnswers::kFree
                                                     : eval::CopyAnswers::kTeacherForced);
    eval::TaskOptions options = task_.resolve(job, "copy");
    options.depth_matters = false;
    options.training_length =
        job.options.training_length > 0 ? job.options.training_length : longest_;
    for (int64_t& length : options.lengths) length = data::copy_prompt_length(length);
    eval::TaskResult result = evaluate_task(job.mesh, job.model, {{"", *task, *scorer}}, options);
    for (eval::TaskCell& cell : result.cells) cell.length -= data::copy_prompt_length(0);
    write_and_print(job, result);
  }

 private:
  CLI::App* command_ = nullptr;
  TaskCommandOptions task_;
  int64_t letters_ = 0, longest_ = 0;
  bool free_ = false;
  data::CopyConfig config_;
};

}  // namespace

std::unique_ptr<Measure> make_copy_measure() { return std::make_unique<CopyMeasure>(); }

}  // namespace longhaul::launch
