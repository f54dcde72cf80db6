#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "eval/identity.h"
#include "eval/named.h"

namespace longhaul::eval {

/// In what a result says of its measuring: that it was on the data the model was trained on.
inline constexpr const char* kTrainedOn = "on the data it was trained on";

/// How a run was measured.
struct RunConditions {
  int64_t length = 0, sequences = 0, sequences_asked = 0, training_length = 0;
  int64_t whole_documents = 0;
  bool inside_documents = true;
  std::string windows;  ///< as Sequences::windows; "" also in files that do not say
  Identity measured;
};

/// How an arm was measured: each of its runs.
struct Conditions {
  bool text = false;  ///< else a synthetic task
  std::vector<RunConditions> runs;
};

/// How each run was measured that `result` is the mean of, else itself.
template <class T>
std::vector<Identity> measured_of(const T& result) {
  if (result.of_seeds.empty()) return {result.measured};
  std::vector<Identity> runs;
  for (const Named<T>& seed : result.of_seeds) runs.push_back(seed.value.measured);
  return runs;
}

template <class T>
Conditions conditions_of(const T& result, const std::string& task) {
  Conditions arm{.text = task == "text", .runs = {}};
  const auto add = [&](const T& run) {
    arm.runs.push_back({.length = run.length,
                        .sequences = run.sequences,
                        .sequences_asked = run.sequences_asked,
                        .training_length = run.training_length,
                        .whole_documents = run.whole_documents,
                        .inside_documents = run.inside_documents,
                        .windows = run.windows,
                        .measured = run.measured});
  };
  for (const Named<T>& seed : result.of_seeds) add(seed.value);
  if (result.of_seeds.empty()) add(result);
  return arm;
}

/// Whether any arm is a mean over seeds.
template <class T>
bool has_seeds(const std::vector<const T*>& arms) {
  return std::any_of(arms.begin(), arms.end(),
                     [](const T* arm) { return arm != nullptr && !arm->of_seeds.empty(); });
}

/// "3 seeds", "1 to 3 seeds"; "one run each".
template <class T>
std::string seeds_name(const std::vector<const T*>& arms) {
  std::vector<int64_t> seeds;
  for (const T* arm : arms) {
    if (arm != nullptr) seeds.push_back(std::max<int64_t>(1, std::ssize(arm->of_seeds)));
  }
  if (seeds.empty()) return "";
  const auto [fewest, most] = std::minmax_element(seeds.begin(), seeds.end());
  if (*most == 1) return "one run each";
  const std::string name = std::to_string(*most) + " seeds";
  return *fewest == *most ? name : std::to_string(*fewest) + " to " + name;
}

/// What ± and bands are: `of_one`; of means over seeds their deviation.
template <class T>
std::string error_name(const std::vector<const T*>& arms, const std::string& of_one) {
  if (!has_seeds(arms)) return of_one;
  const bool all = std::none_of(arms.begin(), arms.end(), [](const T* arm) {
    return arm != nullptr && arm->of_seeds.empty();
  });
  const std::string of_seeds = "standard deviation over seeds";
  return all ? of_seeds : of_seeds + " (where an arm is one run: " + of_one + ")";
}

/// In what arms were not measured alike: "seed: 1 / 5".
struct Unlike {
  std::vector<std::string> numbers;   ///< what changes them
  std::vector<std::string> rounding;  ///< what changes no more than it
  int64_t unknown = 0;                ///< arms that do not say how they were measured
};
/// Of arms with the identities of their runs. The model is left out: it is what is compared. Places
/// of data and settings of tasks are told where fingerprints differ, and instead of these.
Unlike unlike(const std::vector<std::vector<Identity>>& arms);

/// A paragraph that says how the arms were measured and whether it was alike.
std::string conditions_html(const std::vector<Conditions>& arms);
/// Sentences that say in what they differ, and in what the seeds of an arm do; "" where in nothing.
std::string unlike_html(const std::vector<std::vector<Identity>>& arms);

}  // namespace longhaul::eval
