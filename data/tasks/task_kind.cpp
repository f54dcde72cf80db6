#include "data/tasks/task_kind.h"

#include <glog/logging.h>

#include <utility>

namespace longhaul::data {

// The build writes data/task_kinds.inc: LONGHAUL_KIND(NAME) for each file kinds/NAME.cpp.
#define LONGHAUL_KIND(NAME) std::unique_ptr<TaskKind> make_##NAME##_kind();
#include "data/task_kinds.inc"
#undef LONGHAUL_KIND

namespace {

class SettingList final : public core::FieldVisitor {
 public:
  void field(const char* name, int64_t&, const char*, const Rule<int64_t>&) override { add(name); }
  void field(const char* name, double&, const char*, const Rule<double>&) override { add(name); }
  void field(const char* name, bool&, const char*) override { add(name); }
  void path(const char* name, std::string&, const char*) override { add(name, true); }
  void paths(const char* name, std::vector<std::string>&, const char*) override { add(name, true); }
  std::vector<Setting> settings;

 private:
  void add(const char* name, bool is_path = false) {
    settings.push_back({.name = name, .is_path = is_path});
  }
};

/// Each row is one of a task drawn evenly.
class Mixture final : public Task {
 public:
  Mixture(std::string name, std::vector<std::unique_ptr<Task>> tasks)
      : name_(std::move(name)), tasks_(std::move(tasks)) {}
  std::string name() const override { return name_; }
  int64_t vocabulary() const override { return tasks_.front()->vocabulary(); }
  uint64_t fingerprint() const override {
    uint64_t all = fingerprint_of(name_);
    for (const auto& task : tasks_) all = fingerprint_of(std::to_string(task->fingerprint()), all);
    return all;
  }
  Example example(const ExampleRequest& request) const override {
    return drawn(request.key).example(request);
  }
  void write_row(const core::RandomKey& key, std::span<int32_t> tokens,
                 std::span<int32_t> labels) const override {
    drawn(key).write_row(key, tokens, labels);
  }

 private:
  const Task& drawn(const core::RandomKey& key) const {
    // A draw that no task takes: theirs begin at 0.
    constexpr uint64_t kChoice = ~uint64_t{0};
    return *tasks_[core::uniform_below(key, kChoice, tasks_.size())];
  }

  std::string name_;
  std::vector<std::unique_ptr<Task>> tasks_;
};

}  // namespace

TaskKinds make_task_kinds() {
  TaskKinds kinds;
#define LONGHAUL_KIND(NAME) kinds.push_back(make_##NAME##_kind());
#include "data/task_kinds.inc"
#undef LONGHAUL_KIND
  return kinds;
}

std::unique_ptr<TaskKind> make_task_kind(const std::string& name) {
  for (auto& kind : make_task_kinds()) {
    if (kind->name() == name) return std::move(kind);
  }
  return nullptr;
}

std::vector<Setting> settings_of(const TaskKind& kind) {
  SettingList list;
  kind.clone()->visit(list);
  return list.settings;
}

std::unique_ptr<Task> whole_task(const TaskKind& kind, std::vector<std::unique_ptr<Task>> parts) {
  CHECK(!parts.empty());
  if (parts.size() == 1 && parts.front()->name() == kind.name()) return std::move(parts.front());
  return std::make_unique<Mixture>(kind.name(), std::move(parts));
}

}  // namespace longhaul::data
