#include "kernels/core/cpu_quota.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace longhaul::core {

namespace {

namespace fs = std::filesystem;
constexpr double kNone = std::numeric_limits<double>::infinity();

/// Of one group: "QUOTA PERIOD" or "max PERIOD" (version 2), or a file for each (version 1).
double quota_of(const fs::path& group) {
  std::ifstream both(group / "cpu.max"), quota(group / "cpu.cfs_quota_us"),
      period(group / "cpu.cfs_period_us");
  double used = -1, of = 0;
  if (!(both >> used >> of) && !(quota >> used && period >> of)) return kNone;
  return used > 0 && of > 0 ? used / of : kNone;
}

/// "0::/a/b" (version 2) and "4:cpu,cpuacct:/a/b" (version 1): where the group lies below the
/// hierarchy; empty for lines of other controllers.
fs::path group_in(const std::string& line, const fs::path& hierarchy) {
  const size_t first = line.find(':'), second = line.find(':', first + 1);
  if (second == std::string::npos) return {};
  const std::string controllers = line.substr(first + 1, second - first - 1);
  const fs::path group = fs::path(line.substr(second + 1)).relative_path();
  if (controllers.empty()) return hierarchy / group;
  const bool has_cpu = ("," + controllers + ",").find(",cpu,") != std::string::npos;
  return has_cpu ? hierarchy / "cpu" / group : fs::path();
}

}  // namespace

double cpu_quota(const fs::path& membership, const fs::path& hierarchy) {
  double least = kNone;
  std::ifstream groups(membership);
  for (std::string line; std::getline(groups, line);) {
    // A container may see its own group as the root, whatever its path outside.
    for (fs::path group = group_in(line, hierarchy); !group.empty(); group = group.parent_path()) {
      least = std::min(least, quota_of(group));
      if (group == hierarchy || group == group.parent_path()) break;
    }
  }
  return least;
}

}  // namespace longhaul::core
