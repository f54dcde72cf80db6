#include "launch/eval/setting_options.h"

#include <algorithm>
#include <limits>

#include "kernels/core/error.h"
#include "launch/command_options.h"

namespace longhaul::launch {

namespace {

using Options = std::map<std::string, CLI::Option*>;

/// Values stay in the options until they are applied.
class Describing final : public core::FieldVisitor {
 public:
  Describing(CLI::App& command, Options& options, const std::string& otherwise)
      : command_(command), options_(options), otherwise_(otherwise) {}

  void field(const char* name, int64_t&, const char* help, const Rule<int64_t>&) override {
    add(name, help, "INT")->check(whole_number(std::numeric_limits<int64_t>::min()));
  }
  void field(const char* name, double&, const char* help, const Rule<double>&) override {
    constexpr double kMost = std::numeric_limits<double>::max();
    add(name, help, "FLOAT")->check(number_within(-kMost, kMost));
  }
  void field(const char* name, bool& value, const char* help) override {
    const std::string on = option_of(name), off = "--no-" + on.substr(2);
    const std::string text = (value ? "do not " : "") + (help + otherwise_);
    options_[name] = command_.add_flag(value ? off : on, text);
  }
  void path(const char* name, std::string&, const char* help) override { add(name, help, "TEXT"); }
  void paths(const char* name, std::vector<std::string>&, const char* help) override {
    add(name, help, "TEXT")->expected(1, CLI::detail::expected_max_vector_size);
  }

 private:
  CLI::Option* add(const char* name, const char* help, const char* type) {
    // Read again where it is applied: nothing is done with it here.
    const auto take = [](const CLI::results_t&) { return true; };
    return options_[name] =
               command_.add_option(option_of(name), take, help + otherwise_)->type_name(type);
  }

  CLI::App& command_;
  Options& options_;
  const std::string& otherwise_;
};

class Applying final : public core::FieldVisitor {
 public:
  explicit Applying(const Options& options) : options_(options) {}

  void field(const char* name, int64_t& value, const char*, const Rule<int64_t>& rule) override {
    set(name, value, rule);
  }
  void field(const char* name, double& value, const char*, const Rule<double>& rule) override {
    set(name, value, rule);
  }
  void field(const char* name, bool& value, const char*) override {
    const CLI::Option& option = *options_.at(name);
    if (option.count() > 0) value = !option.get_name().starts_with("--no-");
  }
  void path(const char* name, std::string& value, const char*) override { set(name, value); }
  void paths(const char* name, std::vector<std::string>& values, const char*) override {
    set(name, values);
  }
  core::Problems problems;

 private:
  template <class T>
  void set(const char* name, T& value, const Rule<T>& rule = {}) {
    const CLI::Option& option = *options_.at(name);
    if (option.count() == 0) return;
    option.results(value);
    const std::string broken = rule ? rule(value) : "";
    if (!broken.empty()) {
      problems.push_back(
          core::message(option_of(name), ": ", broken, ", is ", option.results()[0]));
    }
  }

  const Options& options_;
};

}  // namespace

std::string option_of(const std::string& setting) {
  std::string option = "--" + setting;
  std::ranges::replace(option, '_', '-');
  return option;
}

void SettingOptions::describe(CLI::App& command, const Visit& settings,
                              const std::string& otherwise) {
  Describing visitor(command, options_, otherwise);
  settings(visitor);
}

void SettingOptions::apply(const Visit& settings) const {
  Applying visitor(options_);
  settings(visitor);
  if (!visitor.problems.empty()) throw core::InputError(visitor.problems);
}

bool SettingOptions::any_given() const {
  return std::ranges::any_of(options_, [](const auto& each) { return each.second->count() > 0; });
}

std::string SettingOptions::names() const {
  std::string names;
  for (const auto& [setting, option] : options_) {
    names += (names.empty() ? "" : ", ") + option->get_name();
  }
  return names;
}

}  // namespace longhaul::launch
