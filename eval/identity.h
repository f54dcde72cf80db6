#pragma once

#include <string>
#include <utility>
#include <vector>

namespace longhaul::eval {

/// All that decides an evaluation's numbers, by name: another model, option or mesh is another
/// evaluation.
using Identity = std::vector<std::pair<std::string, std::string>>;

}  // namespace longhaul::eval
