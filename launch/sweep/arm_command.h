// The programs that a sweep starts for its arms.
#pragma once

#include "launch/sweep/child_processes.h"
#include "launch/sweep/standing.h"

namespace longhaul::launch {

/// `longhaul train` with --resume and, where it is to stop, --until; or `longhaul eval` of the
/// target's measure. Under mpirun where an arm has several ranks.
ChildCommand arm_command(const SweepConfig& sweep, const Target& target);

}  // namespace longhaul::launch
