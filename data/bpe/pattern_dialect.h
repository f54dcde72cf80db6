#pragma once

#include <string>

namespace longhaul::data {

/// A pattern in Oniguruma's dialect as one in PCRE2's (options UTF and UCP) that matches the same;
/// where none is known, `problem` says why.
std::string translate_pattern(const std::string& pattern, std::string& problem);

}  // namespace longhaul::data
