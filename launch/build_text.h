#pragma once

#include <string>

namespace longhaul::launch {

/// `longhaul --version`: version, commit, and what the program was built with, a line each.
std::string build_text();

}  // namespace longhaul::launch
