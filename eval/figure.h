#pragma once

#include <string>
#include <vector>

#include "eval/plot.h"

namespace longhaul::eval {

/// A plot with its title, legend and caption (HTML) as an element of the page; "" if there is
/// nothing to draw. `arms` are the names of all, not escaped.
std::string figure(const Plot& plot, const std::string& title, const std::string& caption,
                   const std::vector<std::string>& arms);

}  // namespace longhaul::eval
