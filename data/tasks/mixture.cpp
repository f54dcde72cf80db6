#include <glog/logging.h>

#include "data/tasks/babilong_task.h"

namespace longhaul::data {

namespace {
class Mixture final : public Task {
 public:
  Mixture(std::string name, std::vector<std::unique_ptr<Task>> tasks)
      : name_(std::move(name)), tasks_(std::move(tasks)) {
    CHECK(!tasks_.empty());
  }
  std::string name() const override { return name_; }
  int64_t vocabulary() const override { return tasks_.front()->vocabulary(); }
  uint64_t fingerprint() const override {
    uint64_t all = fingerprint_of(name_);
    for (const auto& task : tasks_) all = fingerprint_of(std::to_string(task->fingerprint()), all);
    return all;
  }
  Example example(const ExampleRequest& request) const override {
    // A draw that no task takes: theirs begin at 0.
    constexpr uint64_t kChoice = ~uint64_t{0};
    return tasks_[core::uniform_below(request.key, kChoice, tasks_.size())]->example(request);
  }

 private:
  std::string name_;
  std::vector<std::unique_ptr<Task>> tasks_;
};
}  // namespace

std::unique_ptr<Task> make_mixture(std::string name, std::vector<std::unique_ptr<Task>> tasks) {
  return std::make_unique<Mixture>(std::move(name), std::move(tasks));
}

}  // namespace longhaul::data
