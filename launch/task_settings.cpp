#include "launch/task_settings.h"

#include <set>
#include <utility>

#include "launch/babilong_kind.h"

namespace longhaul::launch {

data::TaskKinds make_task_kinds() {
  data::TaskKinds kinds = data::make_task_kinds();
  kinds.push_back(make_babilong_kind());
  return kinds;
}

const data::TaskKinds& task_kinds() {
  static const data::TaskKinds kinds = make_task_kinds();
  return kinds;
}

TaskSettings::TaskSettings(const TaskSettings& other) {
  for (const auto& kind : other.kinds_) kinds_.push_back(kind->clone());
}

TaskSettings& TaskSettings::operator=(const TaskSettings& other) {
  return *this = TaskSettings(other);
}

bool is_path_of_task(const std::string& path) {
  static const std::set<std::string> paths = [] {
    std::set<std::string> all;
    for (const auto& kind : task_kinds()) {
      for (const auto& [name, is_path] : data::settings_of(*kind)) {
        if (is_path) all.insert("data." + kind->name() + "." + name);
      }
    }
    return all;
  }();
  return paths.contains(path);
}

}  // namespace longhaul::launch
