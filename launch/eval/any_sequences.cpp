#include "launch/eval/any_sequences.h"

#include <CLI/CLI.hpp>

#include "kernels/core/error.h"

namespace longhaul::launch {

void AnySequences::describe(CLI::App& command, EvalOptions& options) {
  text.describe(command)->required(false);
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

eval::CurveOptions AnySequences::resolve(const EvalJob& job) const {
  return {.length = sequences.length,
          .sequences = sequences.sequences,
          .piece = job.options.piece,
          .batch = job.options.batch,
          .training_length = job.training_length,
          .model = job.options.model,
          .seed = static_cast<uint64_t>(job.options.seed),
          .continuation = job.continuation};
}

eval::Sequences AnySequences::open(const EvalJob& job, const eval::CurveOptions& options) {
  if (text.data.empty()) return eval::recall_sequences(recall.task, options);
  tokens = text.open(job.model, job.options.model);
  return eval::text_sequences(*tokens, options);
}

}  // namespace longhaul::launch
