// BABILong (data/tasks/babilong_task.h) as a kind of task: of the bAbI files and the YAML of
// prompts that its settings name.
#pragma once

#include <memory>

#include "data/tasks/task_kind.h"

namespace longhaul::launch {

std::unique_ptr<data::TaskKind> make_babilong_kind();

}  // namespace longhaul::launch
