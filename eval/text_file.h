#pragma once

#include <filesystem>
#include <string>

namespace longhaul::eval {

/// The whole of a file; InputError naming it if it cannot be read.
std::string read_text_file(const std::filesystem::path& file);

}  // namespace longhaul::eval
