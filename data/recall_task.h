// Streaming associative recall: an endless stream of pairs (key, value). Every second pair, on
// average, is a query: its key occurred among the last `reach` pairs, and its value, the key's
// latest, must be predicted from the key. The other pairs bind a key to a fresh random value
// (labels −1: not predictable). Keys are drawn so that within the training length nothing needs to
// be forgotten.
#pragma once

#include <cstdint>
#include <memory>

#include "data/batch.h"
#include "data/samplers.h"
#include "kernels/core/fields.h"

namespace longhaul::data {

struct RecallTask {
  int64_t keys = 160;
  int64_t values = 64;
  int64_t reach = 31;           ///< pairs
  double query_fraction = 0.5;  ///< of the pairs, once there is something to ask for
  bool label_all = false;       ///< also train on the unpredictable tokens

  template <class V>
  void visit(V& v) {
    v.field("keys", keys, "size of the key alphabet", core::AtLeast{2});
    v.field("values", values, "size of the value alphabet", core::AtLeast{2});
    v.field("reach", reach, "pairs that a query reaches back at most", core::AtLeast{1});
    v.field("query_fraction", query_fraction, "share of pairs that are queries",
            core::Within{0, 1});
    v.field("label_all", label_all, "also predict tokens that cannot be known");
  }
  /// Tokens: values 0 … values−1, keys values … values+keys−1.
  int64_t vocabulary() const { return keys + values; }
};

/// Row r of step k is a new stream, seeded by (seed, k · global rows + r): the same sequences
/// whatever the number of data ranks or accumulation steps, also after resuming on others. With
/// `contiguous` row r of step k + 1 continues the stream of row r (TBTT lanes).
std::unique_ptr<BatchSource> make_recall_source(const RecallTask& task, int64_t length,
                                                uint64_t seed, RowShare share, bool contiguous);

/// One stream of `length` tokens for evaluation, produced piece by piece in constant memory.
class RecallStream {
 public:
  RecallStream(const RecallTask& task, uint64_t seed, uint64_t stream);
  ~RecallStream();
  /// Next `length` (even) tokens and their labels.
  void next(int64_t length, int32_t* tokens, int32_t* labels);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace longhaul::data
