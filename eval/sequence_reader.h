// The sequences of an evaluation, read from front to back.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "data/recall_task.h"
#include "data/token_data.h"

namespace longhaul::eval {

/// Tokens and their labels (−1: not counted).
struct LabelledTokens {
  std::vector<int32_t> tokens, labels;
  /// Recall: of queries, pairs since the key occurred last; −1 elsewhere. Others: empty.
  std::vector<int32_t> reaches;
};

class SequenceReader {
 public:
  virtual ~SequenceReader() = default;
  /// The next `length` tokens.
  virtual void next(int64_t length, LabelledTokens& out) = 0;
};
using Readers = std::vector<std::unique_ptr<SequenceReader>>;
/// A reader at the beginning of a sequence (a number below CurveOptions::sequences).
using ReaderOf = std::function<std::unique_ptr<SequenceReader>(int64_t sequence)>;

/// From token `begin` on; `folder` must outlive the reader. The label is the token that follows.
std::unique_ptr<SequenceReader> text_reader(const data::TokenData& folder, int64_t begin);

/// RecallStream hands out whole pairs; here pieces may be odd.
std::unique_ptr<SequenceReader> recall_reader(const data::RecallTask& task, uint64_t seed,
                                              uint64_t stream);

}  // namespace longhaul::eval
