// String copying: "$" a string "|" and the same string, then ".". Jelassi et al., "Repeat After
// Me: Transformers are Better than State Space Models at Copying", ICML 2024: letters drawn evenly,
// several examples to a training row, the rest of the row filled with "*", loss on the copies.
#pragma once

#include <cstdint>
#include <memory>

#include "data/tasks/task.h"
#include "kernels/core/fields.h"

namespace longhaul::data {

struct CopyConfig {
  int64_t letters = 26;
  int64_t shortest = 1;
  int64_t longest = 50;

  template <class V>
  void visit(V& v) {
    v.field("letters", letters, "size of the alphabet", core::Within{2, 1 << 20});
    v.field("shortest", shortest, "letters of the shortest training string", core::AtLeast{1});
    v.field("longest", longest, "letters of the longest training string", core::Within{1, 1 << 20});
  }
  /// Tokens: letters, then "$", "|", "." and "*".
  int64_t vocabulary() const { return letters + 4; }
};

/// Tokens of an example whose string has `letters` letters.
constexpr int64_t copy_prompt_length(int64_t letters) { return letters + 2; }
constexpr int64_t copy_example_length(int64_t letters) { return 2 * letters + 3; }

/// Examples of any length from 3 on (5 with the answer; an even one begins with a "*"); training
/// rows hold strings of `shortest` to `longest` letters, as many as fit, and must have room for the
/// longest. InputError if the numbers contradict each other.
std::unique_ptr<Task> make_copy_task(const CopyConfig& config);

}  // namespace longhaul::data
