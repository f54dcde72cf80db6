// Settings that only the running program knows (kernels/core/field_visitor.h) as options of a
// command.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <string>

#include "kernels/core/field_visitor.h"

namespace longhaul::launch {

class SettingOptions {
 public:
  /// What has settings: task kinds, scorings.
  using Visit = std::function<void(core::FieldVisitor&)>;

  /// An option for each setting, --answer-tokens for answer_tokens; for a flag that is on,
  /// --no-NAME. `otherwise` ends the help of each.
  void describe(CLI::App& command, const Visit& settings, const std::string& otherwise = "");
  /// Sets those that were given. InputError with what is wrong with them.
  void apply(const Visit& settings) const;
  bool any_given() const;
  std::string names() const;  ///< "--letters, --longest"

 private:
  std::map<std::string, CLI::Option*> options_;  // by name of the setting
};

/// "--answer-tokens" for answer_tokens.
std::string option_of(const std::string& setting);

}  // namespace longhaul::launch
