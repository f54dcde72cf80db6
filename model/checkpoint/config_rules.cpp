#include "model/checkpoint/config_rules.h"

#include <string>

#include "kernels/core/error.h"

namespace longhaul::model {

namespace {

std::string key_of(std::string_view field, std::span<const KeyOfField> keys) {
  for (const auto& [name, key] : keys) {
    if (name == field) return std::string(key);
  }
  return std::string(field);
}

/// Applies the rule that each field of ModelConfig carries.
class RuleCheck {
 public:
  RuleCheck(ConfigReader& reader, std::span<const KeyOfField> keys)
      : reader_(reader), keys_(keys) {}
  bool any() const { return any_; }

  template <class T>
  void field(const char*, const T&, const char*) {}
  template <class T, class Rule>
  void field(const char* name, const T& value, const char*, const Rule& rule) {
    const std::string wrong = rule(value);
    if (wrong.empty()) return;
    any_ = true;
    reader_.problem(key_of(name, keys_), core::message(wrong, ", is ", value));
  }

 private:
  ConfigReader& reader_;
  std::span<const KeyOfField> keys_;
  bool any_ = false;
};

}  // namespace

void check_model_rules(ConfigReader& reader, ModelConfig& config,
                       std::span<const KeyOfField> keys) {
  RuleCheck rules(reader, keys);
  config.visit(rules);
  if (config.vocabulary == 0) {
    reader.problem(key_of("vocabulary", keys), "must be at least 1, is 0");
  }
  if (rules.any()) return;  // rules across fields take the single ones for granted
  core::Problems across;
  config.validate("", across);
  for (const std::string& line : across) {
    const size_t colon = line.find(": ");
    reader.problem(key_of(std::string_view(line).substr(0, colon), keys), line.substr(colon + 2));
  }
}

}  // namespace longhaul::model
