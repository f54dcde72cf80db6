// A sweep as a Slurm job array: a task an arm.
#pragma once

#include <string>

#include "launch/sweep/arms.h"

namespace longhaul::launch {

/// The batch script of an array over the `count` arms named by the lines of `names_file`. Each task
/// runs `longhaul sweep SWEEP_FILE --arm NAME`; slurm.warning_s before its end, and when it is
/// preempted, the arm saves and the task is queued again. `program`, `names_file` and `sweep_file`
/// are quoted for the shell; InputError where a path holds control characters.
struct ArrayJob {
  std::string program, sweep_file, names_file;
  size_t count = 0;
};
std::string array_script(const SweepConfig& sweep, const ArrayJob& job);

/// Writes FOLDER/array-N.txt and FOLDER/array-N.sbatch (N: the next free number) for the arms that
/// have something to do, and submits them unless told not to. With halving these are the arms up to
/// the next comparison: once they have ended the next call submits those that go on. Returns what
/// was done, in words. core::Error with sbatch's own words if it fails.
std::string submit_array(const SweepConfig& sweep, const ArmList& list,
                         const std::string& sweep_file, bool submits);

}  // namespace longhaul::launch
