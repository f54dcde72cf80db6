// The report's tables as HTML.
#pragma once

#include <string>
#include <vector>

#include "eval/section.h"

namespace longhaul::eval {

/// Loss, perplexity or accuracy of each arm at multiples of the training length; "" if there is no
/// column.
std::string length_table(const Section& section, const std::vector<std::string>& arms);

/// Keys whose values differ between the runs that have a run.yaml, one row each; then, folded, what
/// they share.
std::string configuration_table(const std::vector<RunFolder>& runs,
                                const std::vector<std::string>& arms);

}  // namespace longhaul::eval
