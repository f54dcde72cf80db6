// Statistics of the states in the report: curves by position, memory of the heads.
#pragma once

#include <string>
#include <vector>

#include "eval/figure.h"
#include "eval/line_up.h"
#include "eval/states.h"

namespace longhaul::eval {

/// `index` numbers the sections of the page.
std::string states_html(const LinedUp<StateStatistics>& section, const Figures& figures,
                        size_t index);

}  // namespace longhaul::eval
