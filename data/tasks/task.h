// Tasks as data: a context and the answer that must follow. Training rows carry labels on answers
// only; evaluation reads the context and compares what the model says (eval/tasks).
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/batch.h"
#include "data/samplers.h"
#include "kernels/core/random.h"

namespace longhaul::data {

struct ExampleRequest {
  int64_t length = 0;        ///< tokens
  bool with_answer = false;  ///< `length` counts the answer's tokens too; else the prompt's alone
  double depth = -1;         ///< of what must be found, as a share of the filler; −1: drawn
  core::RandomKey key;       ///< the example is a function of these five
  /// Of a series of one seed whose questions must differ, from 0 to Task::different − 1; −1: drawn
  /// whatever others are.
  int64_t number = -1;
};

struct Example {
  std::vector<int32_t> prompt;
  std::vector<int32_t> answer;        ///< as training gives it, right after the prompt
  std::string question, answer_text;  ///< of tasks in words
  /// Where what must be found begins, as a share of the prompt; the last one of several.
  double depth = 0;
};

class Task {
 public:
  virtual ~Task() = default;
  virtual std::string name() const = 0;
  virtual int64_t vocabulary() const = 0;
  /// Changes when the examples do.
  virtual uint64_t fingerprint() const = 0;
  /// An example of exactly this length, or InputError saying what lengths there are.
  virtual Example example(const ExampleRequest& request) const = 0;
  /// What answers there can be, in lower case; empty: not known.
  virtual std::set<std::string> labels() const { return {}; }
  /// So many different questions there are of this length. InputError as of example.
  virtual int64_t different(int64_t length) const {
    static_cast<void>(length);
    return std::numeric_limits<int64_t>::max();
  }
  /// A training row (labels shifted, −1 outside of answers). Unless a task packs several examples
  /// into a row, it is one example of exactly the row's length.
  virtual void write_row(const core::RandomKey& key, std::span<int32_t> tokens,
                         std::span<int32_t> labels) const;
};

/// Writes prompt and answer at `begin` and the labels that ask for the answer.
void write_example(const Example& example, size_t begin, std::span<int32_t> tokens,
                   std::span<int32_t> labels);

/// Row r of step k is the row of key (seed, k · global rows + r): the same whatever the number of
/// data ranks or accumulation steps. With `contiguous` row r of step k + 1 follows row r of step k
/// (TBTT lanes: one example after another), else every row is fresh. `task` must outlive the
/// source. InputError where the task has no rows of this length.
std::unique_ptr<BatchSource> make_task_source(const Task& task, int64_t length, uint64_t seed,
                                              RowShare share, bool contiguous);

/// FNV-1a of what examples depend on.
uint64_t fingerprint_of(std::string_view bytes, uint64_t before = 14695981039346656037ull);

}  // namespace longhaul::data
