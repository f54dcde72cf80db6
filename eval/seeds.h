// Runs of one arm that differ in their seed alone, as one: means over seeds, with their spread.
#pragma once

#include <string>
#include <vector>

#include "eval/run_folder.h"

namespace longhaul::eval {

/// Of one cell in each seed (one or more), over those that have trials: the mean; low and high are
/// the mean ∓ the standard deviation over seeds, inside 0 to 1.
TaskCell mean_cell(const std::vector<TaskCell>& seeds);

/// Every number is the mean over the seeds that have it, every error the sample standard deviation
/// over them (tasks' cells: mean_cell); `of_seeds` of each result holds what it is the mean of, for
/// whatever must be judged seed by seed: heads of states (head k of one seed is nothing to head k
/// of another) and what is compared to noise. Training curves take the steps that all have
/// logged. The configuration is the first one's without run.seed and what else differs between
/// them. What some seeds lack is taken from the others and noted as missing. InputError where seeds
/// were not measured alike.
RunFolder mean_of_seeds(const std::string& name, const std::vector<RunFolder>& seeds);

}  // namespace longhaul::eval
