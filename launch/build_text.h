#pragma once

#include <string>

namespace longhaul::launch {

/// `longhaul --version`: version, commit, and what the program was built with, a line each.
std::string build_text();

/// The first two of them in one line: "longhaul 1.0, commit 0123456789ab".
std::string program_version();

}  // namespace longhaul::launch
