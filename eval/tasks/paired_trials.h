// Two arms' answers to the same questions, trial by trial.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "eval/estimate.h"
#include "eval/identity.h"
#include "eval/tasks/task_result.h"

namespace longhaul::eval {

/// Of an evaluation's identity what decides which questions a length asks; empty where it does not
/// say.
Identity questions_asked(const Identity& measured);

/// Scores from 0 to 1 of the same trials; as many, at least one. The difference is the mean of a −
/// b, its standard error is from the differences of trials. It is beyond noise where the exact test
/// of McNemar says so at 95 %: of the trials that the arms score differently, as many favour one of
/// them as a coin seldom gives. Where scores are graded, Student's t does, given six such trials,
/// fewer than which no coin tells.
Comparison compare_trials(const std::vector<double>& a, const std::vector<double>& b);

/// The same of two runs, over all depths and parts of a length; none unless both were asked the
/// same questions and their files hold the scores. Not of means over seeds.
std::optional<Comparison> compare_trials(const TaskResult& a, const TaskResult& b, int64_t length);

}  // namespace longhaul::eval
