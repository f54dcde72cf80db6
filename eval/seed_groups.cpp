#include "eval/seed_groups.h"

#include <charconv>
#include <cstdint>
#include <map>
#include <set>
#include <string_view>
#include <utility>

namespace longhaul::eval {

std::vector<std::filesystem::path> seed_folders(const std::filesystem::path& folder) {
  const std::string prefix = "seed-";
  std::map<int64_t, std::filesystem::path> found;
  if (!std::filesystem::is_directory(folder)) return {};
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix) || !entry.is_directory()) continue;
    int64_t number = 0;
    const char *begin = name.data() + prefix.size(), *end = name.data() + name.size();
    const auto parsed = std::from_chars(begin, end, number);
    if (parsed.ec == std::errc() && parsed.ptr == end) found[number] = entry.path();
  }
  std::vector<std::filesystem::path> folders;
  for (const auto& [number, path] : found) folders.push_back(path);
  return folders;
}

std::vector<SeedGroup> seed_groups(const std::vector<std::filesystem::path>& folders) {
  struct Place {
    std::filesystem::path parent, whole;
    std::string recipe;
    int64_t seed = -1;  ///< that it is called by
  };
  const auto place_of = [](const std::filesystem::path& folder) {
    auto whole = std::filesystem::weakly_canonical(folder);
    if (!whole.has_filename()) whole = whole.parent_path();  // "runs/a/"
    Place place{.parent = whole.parent_path(), .whole = whole, .recipe = whole.filename()};
    const size_t comma = place.recipe.rfind(",seed=");
    if (comma == std::string::npos) return place;
    const char* begin = place.recipe.data() + comma + std::string_view(",seed=").size();
    const char* end = place.recipe.data() + place.recipe.size();
    const auto parsed = std::from_chars(begin, end, place.seed);
    if (parsed.ec != std::errc() || parsed.ptr != end) {
      place.seed = -1;
    } else {
      place.recipe.resize(comma);
    }
    return place;
  };
  using Key = std::pair<std::filesystem::path, std::string>;
  std::map<Key, std::map<int64_t, std::filesystem::path>> recipes;
  for (const auto& folder : folders) {
    const Place place = place_of(folder);
    recipes[{place.parent, place.recipe}].try_emplace(place.seed, folder);
  }
  std::set<Key> done;
  std::vector<SeedGroup> groups;
  for (const auto& folder : folders) {
    const Place place = place_of(folder);
    SeedGroup group{.name = place.whole.filename(), .given = folder, .folders = {}};
    const std::vector<std::filesystem::path> inside = seed_folders(folder);
    const auto& recipe = recipes[{place.parent, place.recipe}];
    if (!inside.empty()) {
      group.folders = inside;
      group.is_mean = true;
    } else if (recipe.size() > 1) {
      if (!done.insert({place.parent, place.recipe}).second) continue;
      group.name = place.recipe;
      for (const auto& [seed, run] : recipe) group.folders.push_back(run);
      group.is_mean = true;
    } else {
      group.folders = {folder};
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

}  // namespace longhaul::eval
