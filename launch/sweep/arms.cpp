#include "launch/sweep/arms.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "kernels/core/error.h"
#include "kernels/core/random.h"
#include "launch/field_list.h"
#include "launch/run_folder.h"
#include "launch/run_rules.h"
#include "launch/sweep/constraint.h"
#include "launch/yaml_document.h"
#include "launch/yaml_reader.h"
#include "trainer/crc32c.h"

namespace longhaul::launch {

namespace {

using core::InputError;
using core::message;
using Fields = std::map<std::string, std::string>;  // by path, as FieldList writes them

constexpr size_t kMostRecipes = 100'000;
constexpr int64_t kDrawsPerSample = 1000;  // before constraints are called too tight
constexpr size_t kLongestName = 120;
constexpr size_t kMostProblems = 20;  // what is wrong with the base is wrong with every arm

Fields fields_of(RunConfig config) {
  FieldList list;
  config.visit(list);
  Fields fields;
  for (const auto& field : list.fields()) {
    if (!field.is_section) fields[field.path] = field.value;
  }
  return fields;
}

std::string without_quotes(const std::string& value) {
  const bool is_quoted = value.size() >= 2 && value.front() == '"' && value.back() == '"';
  return is_quoted ? value.substr(1, value.size() - 2) : value;
}

std::vector<std::string> overrides_of(const Assignment& assignment) {
  std::vector<std::string> overrides;
  for (const auto& [key, value] : assignment) overrides.push_back(key + "=" + value);
  return overrides;
}

/// The configuration whatever is wrong with it: constraints may exclude what rules would refuse.
Fields unchecked_fields(const std::string& base, const SweepConfig& sweep,
                        const Assignment& assignment) {
  YamlDocument document(base, sweep.base);
  for (const auto& text : overrides_of(assignment)) document.override_value(text);
  RunConfig config;
  YamlReader reader(document);
  config.visit(reader);
  return fields_of(config);
}

Constraint::Value constraint_value(const Fields& fields, const std::string& key) {
  const auto found = fields.find(key);
  if (found == fields.end()) throw InputError(message(key, " is no key of a run's YAML"));
  if (found->second == "true" || found->second == "false") return found->second == "true";
  YamlNode node;
  node.kind = YamlNode::Kind::kScalar;
  node.text = found->second;
  double number = 0;
  if (read_scalar(node, number).empty()) return number;
  return without_quotes(found->second);
}

class Filter {
 public:
  Filter(const std::string& base, const SweepConfig& sweep) : base_(base), sweep_(sweep) {
    for (const std::string& text : sweep.constraints) {
      try {
        constraints_.emplace_back(text);
      } catch (const InputError& error) {
        throw InputError(message("constraints: ", error.what()));
      }
    }
  }
  bool passes(const Assignment& assignment) const {
    if (constraints_.empty()) return true;
    const Fields fields = unchecked_fields(base_, sweep_, assignment);
    const auto lookup = [&](const std::string& key) { return constraint_value(fields, key); };
    bool all = true;
    for (const Constraint& constraint : constraints_) {
      try {
        all = constraint.holds(lookup) && all;
      } catch (const InputError& error) {
        throw InputError(message("constraints: ", error.what()));
      }
    }
    return all;
  }

 private:
  const std::string& base_;
  const SweepConfig& sweep_;
  std::vector<Constraint> constraints_;
};

/// Draws until there are as many different ones as wanted.
std::vector<Assignment> random_recipes(const SweepConfig& sweep, const Filter& filter,
                                       int64_t& excluded) {
  std::vector<Assignment> recipes;
  std::set<Assignment> seen;
  const auto wanted = static_cast<size_t>(sweep.samples);
  for (int64_t i = 0; recipes.size() < wanted; ++i) {
    if (i >= kDrawsPerSample * sweep.samples) {
      throw InputError(message("samples: found ", recipes.size(), " different recipes in ", i,
                               " draws, expected ", sweep.samples));
    }
    Assignment draw = random_draw(sweep.values, sweep.seed, i);
    if (!seen.insert(draw).second) continue;
    if (filter.passes(draw)) {
      recipes.push_back(std::move(draw));
    } else {
      ++excluded;
    }
  }
  return recipes;
}

std::vector<Assignment> allowed_recipes(const SweepConfig& sweep, const std::string& base,
                                        int64_t& excluded) {
  const Filter filter(base, sweep);
  if (sweep.search == SearchKind::kRandom) return random_recipes(sweep, filter, excluded);
  const bool is_list = sweep.search == SearchKind::kList;
  std::vector<Assignment> recipes;
  for (const Assignment& candidate : is_list ? sweep.arms : grid(sweep.values)) {
    if (filter.passes(candidate)) {
      recipes.push_back(candidate);
    } else {
      ++excluded;
    }
  }
  if (recipes.empty()) throw InputError("constraints: leave no arm");
  return recipes;
}

Arm make_arm(const SweepConfig& sweep, const std::string& base, Assignment assignment,
             const std::string& name) {
  assignment.emplace_back("parallel.threads", std::to_string(sweep.threads));
  assignment.emplace_back("run.folder", yaml_text(arm_folder(sweep, name)));
  Arm arm{.name = name, .overrides = overrides_of(assignment), .config = {}};
  arm.config = parse_run_config(base, sweep.base, arm.overrides);
  check_against_world(arm.config, sweep.ranks);
  return arm;
}

/// The values as the configuration has them: 1e-3 and 0.001 are one.
Assignment canonical(const std::string& base, const SweepConfig& sweep,
                     const Assignment& assignment) {
  const Fields fields = unchecked_fields(base, sweep, assignment);
  Assignment values;
  for (const auto& [key, value] : assignment) {
    values.emplace_back(key, without_quotes(fields.at(key)));
  }
  return values;
}

std::string with_seed(const std::string& recipe, int64_t seed) {
  return message(recipe, ",seed=", seed);
}

/// run.seed of the run that the arm's folder holds; nothing where there is none.
std::optional<int64_t> trained_seed(const SweepConfig& sweep, const std::string& arm) {
  const auto file = std::filesystem::path(arm_folder(sweep, arm)) / kRunConfigFile;
  if (!std::filesystem::exists(file)) return std::nullopt;
  try {
    return read_run_config(file.string()).run.seed;
  } catch (const InputError&) {
    return std::nullopt;  // for the arm to tell when it is trained
  }
}

/// An arm that was trained before the sweep had `seeds`, or while it had them, keeps its name.
std::string arm_name(const SweepConfig& sweep, const std::string& recipe, int64_t seed) {
  const std::string long_name = with_seed(recipe, seed);
  const bool is_seeded = !sweep.seeds.empty();
  const std::string &wanted = is_seeded ? long_name : recipe,
                    &other = is_seeded ? recipe : long_name;
  const bool is_kept = !trained_seed(sweep, wanted) && trained_seed(sweep, other) == seed;
  return is_kept ? other : wanted;
}

Recipe make_recipe(const SweepConfig& sweep, const std::string& base,
                   const Assignment& assignment) {
  Recipe recipe;
  recipe.values = canonical(base, sweep, assignment);
  recipe.name = recipe_name(recipe.values);
  if (sweep.seeds.empty()) {
    const auto seed = std::stoll(unchecked_fields(base, sweep, assignment).at("run.seed"));
    recipe.arms.push_back(make_arm(sweep, base, assignment, arm_name(sweep, recipe.name, seed)));
  }
  for (const int64_t seed : sweep.seeds) {
    Assignment seeded = assignment;
    seeded.emplace_back("run.seed", std::to_string(seed));
    recipe.arms.push_back(make_arm(sweep, base, seeded, arm_name(sweep, recipe.name, seed)));
  }
  return recipe;
}

/// The metric must be there when recipes are compared.
void check_comparisons(const SweepConfig& sweep, const Arm& arm, core::Problems& problems) {
  const int64_t every = arm.config.evaluation.every;
  if (sweep.metric.record == MetricRecord::kEvaluation && every == 0) {
    problems.push_back(
        message("arm ", arm.name, ": evaluation.every is 0, but metric.record is ", "evaluation"));
    return;
  }
  for (const int64_t step : sweep.halving.steps) {
    if (step >= arm.config.schedule.steps) {
      problems.push_back(message("arm ", arm.name, ": halving.steps holds ", step,
                                 ", expected less than schedule.steps, ",
                                 arm.config.schedule.steps));
    } else if (sweep.metric.record == MetricRecord::kEvaluation && step % every != 0) {
      problems.push_back(message("arm ", arm.name, ": halving.steps holds ", step,
                                 ", expected multiples of evaluation.every, ", every));
    }
  }
}

}  // namespace

std::string arm_folder(const SweepConfig& sweep, const std::string& name) {
  return (std::filesystem::path(sweep.folder) / "arms" / name).string();
}

std::vector<Assignment> grid(const std::vector<Choices>& choices) {
  std::vector<Assignment> all{{}};
  for (const Choices& choice : choices) {
    if (all.size() * choice.values.size() > kMostRecipes) {
      throw InputError(message("values: make more than ", kMostRecipes, " arms"));
    }
    std::vector<Assignment> longer;
    for (const Assignment& assignment : all) {
      for (const std::string& value : choice.values) {
        longer.push_back(assignment);
        longer.back().emplace_back(choice.key, value);
      }
    }
    all = std::move(longer);
  }
  return all;
}

Assignment random_draw(const std::vector<Choices>& choices, int64_t seed, int64_t i) {
  Assignment assignment;
  for (size_t place = 0; place < choices.size(); ++place) {
    const Choices& choice = choices[place];
    const double u = core::uniform({.seed = static_cast<uint64_t>(seed),
                                    .step = static_cast<uint64_t>(i),
                                    .purpose = core::RandomPurpose::kSampler},
                                   place);
    std::array<char, 40> text{};
    if (!choice.range) {
      const auto index = static_cast<size_t>(u * static_cast<double>(choice.values.size()));
      assignment.emplace_back(choice.key, choice.values[index]);
      continue;
    }
    const auto& [low, high, is_log, is_whole] = *choice.range;
    // A whole number's share of the range is that of the interval up to the next one.
    const double end = is_whole ? std::floor(high) + 1 : high;
    const double begin = is_whole ? std::ceil(low) : low;
    const double value = is_log ? begin * std::pow(end / begin, u) : begin + u * (end - begin);
    if (is_whole) {
      std::snprintf(text.data(), text.size(), "%.0f",
                    std::clamp(std::floor(value), begin, end - 1));
    } else {
      std::snprintf(text.data(), text.size(), "%.5g", value);  // no name needs 17 digits
    }
    assignment.emplace_back(choice.key, text.data());
  }
  return assignment;
}

std::string recipe_name(const Assignment& values) {
  std::string name, whole;
  bool is_exact = true;
  std::set<std::string> parts;
  for (const auto& [key, value] : values) {
    std::string part = key.substr(key.rfind('.') + 1);
    is_exact = parts.insert(part).second && is_exact;
    part += "=" + value;
    for (char& c : part) {
      const bool is_kept = std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                           std::string_view("=._+-").find(c) != std::string_view::npos;
      is_exact = is_exact && is_kept;
      if (!is_kept) c = '-';
    }
    name += (name.empty() ? "" : ",") + part;
    whole += key + "=" + value + "\n";
  }
  if (name.empty()) return "base";
  if (is_exact && name.size() <= kLongestName) return name;
  std::array<char, 16> checksum{};
  std::snprintf(checksum.data(), checksum.size(), ",%08x",
                trainer::crc32c(whole.data(), whole.size()));
  return name.substr(0, kLongestName) + checksum.data();
}

ArmList expand_arms(const SweepConfig& sweep) {
  const std::string base = read_yaml_text(sweep.base, "a run");
  ArmList list;
  core::Problems problems;
  std::set<std::string> names;
  for (const Assignment& assignment : allowed_recipes(sweep, base, list.excluded)) {
    if (problems.size() >= kMostProblems) break;
    try {
      Recipe recipe = make_recipe(sweep, base, assignment);
      if (!names.insert(recipe.name).second) {
        problems.push_back(message("arm ", recipe.name, ": is there twice"));
      }
      for (const Arm& arm : recipe.arms) check_comparisons(sweep, arm, problems);
      list.recipes.push_back(std::move(recipe));
    } catch (const InputError& error) {
      const std::string name = recipe_name(assignment);
      for (const std::string& problem : error.problems()) {
        problems.push_back(message("arm ", name, ": ", problem));
      }
    }
  }
  if (!problems.empty()) throw InputError(problems);
  return list;
}

}  // namespace longhaul::launch
