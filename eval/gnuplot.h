#pragma once

#include <string>

namespace longhaul::eval {

/// Runs gnuplot with `script` as its standard input and returns its standard output. Throws
/// InputError if there is no gnuplot in PATH, Error with its own words if it fails.
std::string run_gnuplot(const std::string& script);

}  // namespace longhaul::eval
