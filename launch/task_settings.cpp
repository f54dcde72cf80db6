#include "launch/task_settings.h"

#include <algorithm>
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
  return std::ranges::any_of(task_kinds(), [&](const auto& kind) {
    return std::ranges::any_of(data::settings_of(*kind), [&](const data::Setting& setting) {
      return setting.is_path && path == "data." + kind->name() + "." + setting.name;
    });
  });
}

}  // namespace longhaul::launch
