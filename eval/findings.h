// What a section shows, in sentences computed from its numbers.
#pragma once

#include <string>
#include <vector>

#include "eval/section.h"

namespace longhaul::eval {

/// An arm fails past its training length where perplexity exceeds kFailingRatio times that at the
/// end of the training length (recall: accuracy falls by more than kFailingDrop), by more than
/// twice the standard error of the difference (sequence by sequence, where the file holds their
/// means); or where the loss is not finite. Where it is so by less, or the standard error is not
/// known (one sequence), that is undecided. One of several seeds fails where most of them do, holds
/// where half of them do, each judged by its own standard errors.
/// An arm with a reference in windows of its training length (no less than half of it) is held
/// against this at the same positions instead: what text differs by there is no failure.
constexpr double kFailingRatio = 1.1;
constexpr double kFailingDrop = 0.05;
/// Recall: with less accuracy inside its training length an arm has not learned the task, and
/// nothing is said about it.
constexpr double kLearned = 0.1;

/// Plain sentences (not escaped), the verdict over all arms first.
std::vector<std::string> findings(const Section& section, const std::vector<std::string>& arms);

}  // namespace longhaul::eval
