#include "launch/eval/curve_options.h"

#include <CLI/CLI.hpp>
#include <iostream>

namespace longhaul::launch {

void CurveCommandOptions::describe(CLI::App& command) {
  sequences.describe(command);
  command.add_flag("--no-states", no_states, "leave out the statistics of the states");
}

eval::CurveOptions CurveCommandOptions::resolve(const EvalJob& job) const {
  return {.length = sequences.length,
          .sequences = sequences.sequences,
          .piece = job.options.piece,
          .batch = job.options.batch,
          .training_length = job.training_length,
          .model = job.options.model,
          .seed = static_cast<uint64_t>(job.options.seed),
          .states = !no_states,
          .continuation = job.continuation};
}

void write_and_print(const EvalJob& job, const eval::PositionCurve& curve) {
  if (!job.is_first) return;
  if (!job.options.json.empty()) eval::write_curve(job.options.json, curve);
  std::cout << eval::format_table(curve) << std::flush;
}

}  // namespace longhaul::launch
