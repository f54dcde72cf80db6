#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace longhaul::eval {

/// How an arm was measured.
struct Conditions {
  int64_t length = 0, sequences = 0, sequences_asked = 0, training_length = 0;
  int64_t whole_documents = 0;
  bool inside_documents = true;
  std::string windows;  ///< as Sequences::windows; "" also in files that do not say
  bool text = false;    ///< else a synthetic task
  int64_t seeds = 1;
};

template <class T>
Conditions conditions_of(const T& result, const std::string& task) {
  return {.length = result.length,
          .sequences = result.sequences,
          .sequences_asked = result.sequences_asked,
          .training_length = result.training_length,
          .whole_documents = result.whole_documents,
          .inside_documents = result.inside_documents,
          .windows = result.windows,
          .text = task == "text",
          .seeds = std::max<int64_t>(1, std::ssize(result.of_seeds))};
}

/// Whether any arm is a mean over seeds.
template <class T>
bool has_seeds(const std::vector<const T*>& arms) {
  return std::any_of(arms.begin(), arms.end(),
                     [](const T* arm) { return arm != nullptr && !arm->of_seeds.empty(); });
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

/// A paragraph that says it, and whether the arms were measured alike.
std::string conditions_html(const std::vector<Conditions>& arms);

}  // namespace longhaul::eval
