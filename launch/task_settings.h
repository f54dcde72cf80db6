// The kinds of task that a run can train on and `longhaul eval` asks, with their settings.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/tasks/task_kind.h"

namespace longhaul::launch {

/// Those of data/tasks/kinds by name, then BABILong, whose prompts are YAML
/// (launch/babilong_kind.h).
data::TaskKinds make_task_kinds();
/// As make_task_kinds, made once: what they are, not what a run sets.
const data::TaskKinds& task_kinds();

/// data.NAME.* of a run.
class TaskSettings {
 public:
  TaskSettings() : kinds_(make_task_kinds()) {}
  TaskSettings(const TaskSettings& other);
  TaskSettings& operator=(const TaskSettings& other);
  TaskSettings(TaskSettings&&) = default;
  TaskSettings& operator=(TaskSettings&&) = default;
  ~TaskSettings() = default;

  /// A section for each kind that has settings.
  template <class V>
  void visit(V& v) {
    for (const auto& kind : kinds_) {
      Section<V> section{*kind};
      if (!data::settings_of(*kind).empty()) v.section(kind->name().c_str(), section);
    }
  }
  data::TaskKind& at(size_t index) { return *kinds_[index]; }
  const data::TaskKind& at(size_t index) const { return *kinds_[index]; }

 private:
  template <class V>
  struct Section {
    data::TaskKind& kind;
    void visit(V& v) {
      core::ForwardedFields<V> fields(v);
      kind.visit(fields);
    }
  };

  data::TaskKinds kinds_;
};

/// Whether the field `path` of a run is a task's setting that is a path.
bool is_path_of_task(const std::string& path);

}  // namespace longhaul::launch
