#include "launch/eval/any_sequences.h"

#include <CLI/CLI.hpp>

#include "kernels/core/error.h"

namespace longhaul::launch {

void AnySequences::describe(CLI::App& command, EvalOptions& options) {
  text.describe(command)->required(false);
  text.describe_windows(command);
  recall.describe(command, options);
  sequences.describe(command);
}

void AnySequences::choose(const EvalOptions& options, const std::optional<RunConfig>& run) {
  if (text.data.empty()) {
    try {
      recall.choose(options, run);
    } catch (const core::InputError& error) {
      throw core::InputError(std::string(error.what()) + "; or --data for text");
    }
  } else if (recall.group->count_all() > 0) {
    throw core::InputError("--data is for text, the task's options are for associative recall");
  }
}

eval::Sequences AnySequences::open(const EvalJob& job, eval::CurveOptions options) {
  if (text.data.empty()) return eval::recall_sequences(recall.task, options);
  tokens = text.open(job.model, job.options.model);
  options.windows = text.window_begin();
  return eval::text_sequences(*tokens, options);
}

void SequencesMeasure::describe(CLI::App& eval, EvalOptions& options) {
  command_ = eval.add_subcommand(name_, summary_);
  sequences_.describe(*command_, options);
  options.describe(*command_);
  command_->footer("Example:\n  mpirun -n 2 longhaul eval " + name_ +
                   " --model runs/zero/model --data tokens --length 8192 --sequences 16 --json "
                   "runs/zero/evaluation/" +
                   name_ + ".json");
}

void SequencesMeasure::prepare(const EvalOptions& options, const std::optional<RunConfig>& run) {
  sequences_.choose(options, run);
}

void SequencesMeasure::run(const EvalJob& job) {
  const eval::CurveOptions options = sequences_.sequences.resolve(job);
  measure(job, sequences_.open(job, options), options);
}

}  // namespace longhaul::launch
