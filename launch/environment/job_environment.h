// The check that a job makes on all its ranks before the first step.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

#include "kernels/core/device.h"
#include "launch/environment/environment_check.h"
#include "launch/run_plan.h"

namespace longhaul::launch {

class RankSession;

struct JobEnvironment {
  std::filesystem::path folder;  ///< the run's, or one above it that is there; rank 0's counts
  core::Device device;           ///< of this rank
  int threads = 1;               ///< of this rank
  EnvironmentNeeds needs;
};

EnvironmentNeeds needs_of(const RunPlan& plan, const std::string& folder);

/// Gathers what every rank finds and writes the table (`shows_table`) and the verdict to `out` on
/// rank 0, warnings to the log. Where the job is refused these go to standard output, and
/// InputError is thrown on all ranks, naming ranks and hosts. Returns the names of the hosts by
/// rank. Collective.
std::vector<std::string> check_environment(RankSession& session, const JobEnvironment& job,
                                           bool shows_table, std::ostream& out);

}  // namespace longhaul::launch
