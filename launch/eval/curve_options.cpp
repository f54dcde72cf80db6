#include "launch/eval/curve_options.h"

#include <CLI/CLI.hpp>
#include <iostream>

namespace longhaul::launch {

void CurveCommandOptions::describe(CLI::App& command) {
  sequences.describe(command);
  command.add_flag("--no-states", no_states, "leave out the statistics of the states");
}

eval::CurveOptions CurveCommandOptions::resolve(const EvalJob& job) const {
  eval::CurveOptions options = sequences.resolve(job);
  options.states = !no_states;
  return options;
}

void write_and_print(const EvalJob& job, const eval::PositionCurve& curve) {
  if (!job.is_first) return;
  if (!job.options.json.empty()) eval::write_curve(job.options.json, curve);
  std::cout << eval::format_table(curve) << std::flush;
}

}  // namespace longhaul::launch
