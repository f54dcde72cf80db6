#pragma once

#include <CLI/CLI.hpp>
#include <optional>

#include "data/recall_task.h"
#include "launch/eval/measure.h"

namespace longhaul::launch {

/// The associative recall task: that of --run, else of the options, else of the run that the model
/// lies in.
struct RecallOptions {
  data::RecallTask task;
  CLI::Option_group* group = nullptr;  // CLI's

  void describe(CLI::App& command, EvalOptions& options);
  /// InputError where none of the three says.
  void choose(const EvalOptions& options, const std::optional<RunConfig>& run);
};

}  // namespace longhaul::launch
