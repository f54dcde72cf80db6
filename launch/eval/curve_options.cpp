#include "launch/eval/curve_options.h"

#include <CLI/CLI.hpp>

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
  publish(job, eval::format_table(curve),
          [&](const std::string& file) { eval::write_curve(file, curve); });
}

}  // namespace longhaul::launch
