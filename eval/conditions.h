#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace longhaul::eval {

/// How an arm was measured.
struct Conditions {
  int64_t length = 0, sequences = 0, training_length = 0;
  int64_t whole_documents = 0;
  bool inside_documents = true;
  std::string windows;  ///< as Sequences::windows; "" also in files that do not say
  bool text = false;    ///< else a synthetic task
};

template <class T>
Conditions conditions_of(const T& result, const std::string& task) {
  return {.length = result.length,
          .sequences = result.sequences,
          .training_length = result.training_length,
          .whole_documents = result.whole_documents,
          .inside_documents = result.inside_documents,
          .windows = result.windows,
          .text = task == "text"};
}

/// A paragraph that says it, and whether the arms were measured alike.
std::string conditions_html(const std::vector<Conditions>& arms);

}  // namespace longhaul::eval
