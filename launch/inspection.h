#pragma once

#include <filesystem>
#include <string>

namespace longhaul::launch {

/// A description of whatever lies at `path`; InputError if it is nothing that is known.
std::string inspect(const std::filesystem::path& path);

}  // namespace longhaul::launch
