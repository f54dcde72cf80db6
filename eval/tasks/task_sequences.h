// A task's examples as sequences with labels on the answers: loss and accuracy while it is trained.
#pragma once

#include "data/tasks/task.h"
#include "eval/sequences.h"

namespace longhaul::eval {

/// Each sequence is one example of `options.length` tokens, prompt and answer. `task` must outlive
/// the result.
Sequences task_sequences(const data::Task& task, const CurveOptions& options);

}  // namespace longhaul::eval
