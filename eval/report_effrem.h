// Effective remembrance in the report: curves, table, sentences.
#pragma once

#include <string>
#include <vector>

#include "eval/effrem.h"
#include "eval/figure.h"
#include "eval/line_up.h"

namespace longhaul::eval {

/// `index` numbers the sections of the page.
std::string effrem_html(const LinedUp<EffRem>& section, const Figures& figures, size_t index);
/// Plain sentences (not escaped), the comparison of all arms first.
std::vector<std::string> effrem_findings(const LinedUp<EffRem>& section,
                                         const std::vector<std::string>& arms);
std::string effrem_title(const LinedUp<EffRem>& section);  ///< not escaped

}  // namespace longhaul::eval
