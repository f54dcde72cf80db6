#pragma once

#include <filesystem>
#include <string>

namespace longhaul::launch {

/// A description of whatever lies at `path`; InputError if it is nothing that is known.
std::string inspect(const std::filesystem::path& path);

/// Holds a training checkpoint, or all of a run, against their manifests and names the sound ones.
/// InputError naming every damaged or missing file, or if there is no checkpoint.
std::string verify(const std::filesystem::path& path);

}  // namespace longhaul::launch
