#pragma once

#include <filesystem>
#include <string_view>

#include "dist/communicator.h"

namespace longhaul::launch {

/// Names of the files that sees_file_of_first_rank leaves for a moment begin so.
inline constexpr std::string_view kProbePrefix = ".longhaul-probe-";

/// The folder, or the nearest one above it that is there.
std::filesystem::path existing_folder(std::filesystem::path folder);

/// Whether this rank can read what rank 0 has just written in `folder`: all ranks see one file
/// system there. Waits some seconds for a network file system to show it. Collective; core::Error
/// on all ranks where rank 0 cannot write.
bool sees_file_of_first_rank(dist::Communicator& world, const std::filesystem::path& folder);

}  // namespace longhaul::launch
