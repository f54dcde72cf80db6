#include "launch/eval/recall_options.h"

#include <CLI/CLI.hpp>

#include "kernels/core/error.h"

namespace longhaul::launch {

void RecallOptions::describe(CLI::App& command, EvalOptions& options) {
  auto* run = command.add_option("--run", options.run,
                                 "take the task from this run.yaml; default: that "
                                 "of the run that the model lies in");
  group = command.add_option_group("task", "the associative recall task itself");
  group->add_option("--keys", task.keys, "size of the key alphabet")
      ->check(whole_number(2))
      ->excludes(run);
  group->add_option("--values", task.values, "size of the value alphabet")
      ->check(whole_number(2))
      ->excludes(run);
  group->add_option("--reach", task.reach, "pairs that a query reaches back at most")
      ->check(whole_number(1))
      ->excludes(run);
  group->add_option("--query-fraction", task.query_fraction, "share of pairs that are queries")
      ->check(number_within(0, 1))
      ->excludes(run);
}

void RecallOptions::choose(const EvalOptions& options, const std::optional<RunConfig>& run) {
  if (group->count_all() > 0) return;
  if (!run || run->data.kind != DataKind::kRecall) {
    throw core::InputError(
        core::message(options.run.empty() ? options.model : options.run,
                      run ? ": is of a run on text" : ": lies in no run folder",
                      ", expected --run RUN.yaml of a recall run, or --keys, --values, …"));
  }
  task = run->data.recall;
}

}  // namespace longhaul::launch
