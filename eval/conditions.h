#pragma once

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
          .seeds = result.seeds};
}

/// What ± and bands are: `of_one`; of means over seeds their deviation.
template <class T>
std::string error_name(const std::vector<const T*>& arms, const std::string& of_one) {
  for (const T* arm : arms) {
    if (arm != nullptr && arm->seeds > 1) return "standard deviation over seeds";
  }
  return of_one;
}

/// A paragraph that says it, and whether the arms were measured alike.
std::string conditions_html(const std::vector<Conditions>& arms);

}  // namespace longhaul::eval
