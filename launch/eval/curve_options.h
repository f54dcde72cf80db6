// What `eval perplexity` and `eval recall` have in common: a curve by position.
#pragma once

#include "eval/perplexity.h"
#include "launch/eval/measure.h"

namespace longhaul::launch {

struct CurveCommandOptions {
  SequenceOptions sequences;
  bool no_states = false;

  void describe(CLI::App& command);
  eval::CurveOptions resolve(const EvalJob& job) const;
};

/// On the first rank.
void write_and_print(const EvalJob& job, const eval::PositionCurve& curve);

}  // namespace longhaul::launch
