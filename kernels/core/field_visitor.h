// The visitors of kernels/core/fields.h for structs that only the running program knows: theirs is
//   void visit(core::FieldVisitor& v) { v.field("letters", letters, "what it is", AtLeast{1}); … }
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/core/fields.h"

namespace longhaul::core {

class FieldVisitor {
 public:
  template <class T>
  using Rule = std::function<std::string(const T&)>;

  virtual ~FieldVisitor() = default;
  /// An empty rule takes every value.
  virtual void field(const char* name, int64_t& value, const char* help,
                     const Rule<int64_t>& rule = {}) = 0;
  virtual void field(const char* name, double& value, const char* help,
                     const Rule<double>& rule = {}) = 0;
  virtual void field(const char* name, bool& value, const char* help) = 0;
  /// Files or folders of the user's: what they hold counts, not where they lie.
  virtual void path(const char* name, std::string& value, const char* help) = 0;
  virtual void paths(const char* name, std::vector<std::string>& values, const char* help) = 0;
};

/// Hands every field on to a visitor of kernels/core/fields.h.
template <class V>
class ForwardedFields final : public FieldVisitor {
 public:
  explicit ForwardedFields(V& visitor) : visitor_(visitor) {}
  void field(const char* name, int64_t& value, const char* help,
             const Rule<int64_t>& rule) override {
    forward(name, value, help, rule);
  }
  void field(const char* name, double& value, const char* help, const Rule<double>& rule) override {
    forward(name, value, help, rule);
  }
  void field(const char* name, bool& value, const char* help) override {
    visitor_.field(name, value, help);
  }
  void path(const char* name, std::string& value, const char* help) override {
    visitor_.field(name, value, help);
  }
  void paths(const char* name, std::vector<std::string>& values, const char* help) override {
    visitor_.field(name, values, help);
  }

 private:
  template <class T>
  void forward(const char* name, T& value, const char* help, const Rule<T>& rule) {
    if (rule) {
      visitor_.field(name, value, help, rule);
    } else {
      visitor_.field(name, value, help);
    }
  }

  V& visitor_;
};

}  // namespace longhaul::core
