// Tasks by the name of their kind, for tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/tasks/task_kind.h"

namespace longhaul::data::testing {

/// Sets whole numbers and flags by name.
class SetNumbers final : public core::FieldVisitor {
 public:
  explicit SetNumbers(std::map<std::string, int64_t> numbers) : numbers_(std::move(numbers)) {}
  ~SetNumbers() override {
    for (const auto& [name, value] : numbers_) ADD_FAILURE() << "no setting " << name;
  }
  void field(const char* name, int64_t& value, const char*, const Rule<int64_t>&) override {
    set(name, value);
  }
  void field(const char* name, bool& value, const char*) override { set(name, value); }
  void field(const char*, double&, const char*, const Rule<double>&) override {}
  void path(const char*, std::string&, const char*) override {}
  void paths(const char*, std::vector<std::string>&, const char*) override {}

 private:
  template <class T>
  void set(const char* name, T& value) {
    const auto found = numbers_.find(name);
    if (found == numbers_.end()) return;
    value = static_cast<T>(found->second);
    numbers_.erase(found);
  }

  std::map<std::string, int64_t> numbers_;
};

/// Of data/tasks/kinds.
inline std::unique_ptr<TaskKind> a_kind(const std::string& name,
                                        const std::map<std::string, int64_t>& settings = {}) {
  auto kind = make_task_kind(name);
  if (kind == nullptr) {
    ADD_FAILURE() << "no kind of task is " << name;
    return nullptr;
  }
  SetNumbers numbers(settings);
  kind->visit(numbers);
  return kind;
}

inline std::unique_ptr<Task> a_task(const std::string& kind,
                                    const std::map<std::string, int64_t>& settings = {}) {
  return std::move(a_kind(kind, settings)->make({}).at(0));
}

/// In words.
inline std::unique_ptr<Task> a_task(const std::string& kind, const Tokenizer& tokenizer) {
  return std::move(a_kind(kind)->make({.tokenizer = &tokenizer}).at(0));
}

}  // namespace longhaul::data::testing
