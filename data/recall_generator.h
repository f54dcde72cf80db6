// One stream of the recall task, pair by pair.
#pragma once

#include <cstdint>
#include <vector>

#include "data/recall_task.h"
#include "kernels/core/random.h"

namespace longhaul::data {

/// InputError if the task's numbers contradict each other.
void check_task(const RecallTask& task);
/// InputError unless even.
void check_recall_length(int64_t length);

/// A pair depends on the `reach` pairs before it and on draws that are numbered from `first_draw`.
class RecallGenerator {
 public:
  struct State {
    int64_t pairs = 0;   // drawn so far; the last of them is not handed out yet
    uint64_t draws = 0;  // numbers drawn so far
    bool query = false;  // whether that last pair is one
    std::vector<int32_t> window_keys, window_values;  // of the last min(pairs, reach), oldest first
  };

  RecallGenerator(const RecallTask& task, core::RandomKey key, uint64_t first_draw);

  /// The next `pairs` pairs as 2 · pairs tokens, and their labels (recall_task.h).
  void write(int64_t pairs, int32_t* tokens, int32_t* labels);

  State state() const;
  /// A state of a generator of the same task, key and first draw, or InputError.
  void restore(const State& state);

 private:
  void draw_pair();
  bool is_recent(int64_t key) const;
  int32_t& window_key(int64_t pair) {
    return window_[static_cast<size_t>(pair % std::ssize(window_))];
  }
  uint64_t below(int64_t bound) {
    return core::uniform_below(key_, first_draw_ + draws_++, static_cast<uint64_t>(bound));
  }

  RecallTask task_;
  core::RandomKey key_;
  uint64_t first_draw_;
  uint64_t draws_ = 0;
  int64_t pairs_ = 0;
  std::vector<int32_t> window_;     // [reach] keys of the last pairs; pair p at p mod reach
  std::vector<int64_t> last_pair_;  // [keys] where each key occurred last; −1: never
  std::vector<int32_t> value_;      // [keys] latest
  // The pair that was drawn last and comes next: its key is the label of the value before it.
  bool query_ = false;
};

}  // namespace longhaul::data
