#pragma once

#include "eval/sequences.h"
#include "launch/eval/recall_options.h"

namespace longhaul::launch {

/// Sequences of either task: text where --data is given, else associative recall.
struct AnySequences {
  SequenceOptions sequences;
  TextOptions text;
  RecallOptions recall;
  std::unique_ptr<data::TokenData> tokens;  ///< once opened

  void describe(CLI::App& command, EvalOptions& options);
  void choose(const EvalOptions& options, const std::optional<RunConfig>& run);
  eval::CurveOptions resolve(const EvalJob& job) const;
  /// Points into `tokens`.
  eval::Sequences open(const EvalJob& job, const eval::CurveOptions& options);
};

}  // namespace longhaul::launch
