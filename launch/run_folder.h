#pragma once

#include <filesystem>

#include "launch/run_config.h"

namespace longhaul::launch {

/// Makes the run's folder, or finds it fit to be continued, and writes run.yaml. For the first
/// rank; `config` resolved. InputError where a run lies there already and `resume` is not asked
/// for, where the folder holds something else, or where it was computed from other values (their
/// keys are named; parallel.* may change).
void prepare_run_folder(const RunConfig& config, bool resume);

}  // namespace longhaul::launch
