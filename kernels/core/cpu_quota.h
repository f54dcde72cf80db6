#pragma once

#include <filesystem>

namespace longhaul::core {

/// Processors' worth of time that this process's control group, and those around it, may use: of a
/// container with a limit ("--cpus 4"), 4. Infinite where there is none.
/// `membership`: the groups it is in; `hierarchy`: where they are mounted.
double cpu_quota(const std::filesystem::path& membership = "/proc/self/cgroup",
                 const std::filesystem::path& hierarchy = "/sys/fs/cgroup");

}  // namespace longhaul::core
