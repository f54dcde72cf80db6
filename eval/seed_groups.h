// Which run folders are seeds of one arm.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace longhaul::eval {

/// The folders seed-N in `folder`, by N: the runs of an arm that holds no run of its own. Empty
/// where there are none.
std::vector<std::filesystem::path> seed_folders(const std::filesystem::path& folder);

/// The runs of one arm.
struct SeedGroup {
  std::string name;
  std::filesystem::path given;                 ///< the first of the folders that were given
  std::vector<std::filesystem::path> folders;  ///< of runs, by seed
  bool is_mean = false;                        ///< else one run
};
/// Of folders as given to a report, in their order: a folder with seed-N in it is an arm, and so
/// are folders of one parent called NAME,seed=N (arms of a sweep) with NAME, if there are two or
/// more.
std::vector<SeedGroup> seed_groups(const std::vector<std::filesystem::path>& folders);

}  // namespace longhaul::eval
