// What an evaluation adds up while it reads: labels by sequence and bucket, states by position and
// layer. Every rank adds what it sees; one reduction makes the whole.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dist/communicator.h"
#include "eval/perplexity.h"
#include "model/recurrent_state.h"

namespace longhaul::eval {

/// Labels of one sequence from `position` on; −1 does not count.
struct LabelRun {
  int64_t sequence = 0, position = 0;
  std::span<const int32_t> labels, predicted;
  std::span<const double> losses;
};

class PositionSums {
 public:
  /// Holds the states of `sequences` sequences of `length` tokens; memory grows with log(length).
  PositionSums(int64_t sequences, int64_t length, const std::vector<model::StateSpec>& specs);

  void add(const LabelRun& run);
  /// The first position after `position` where states are wanted; at most the length.
  int64_t next_state_position(int64_t position) const;
  /// No more than once for a sequence and position, over all ranks. Other positions are ignored.
  void add_states(core::Context& context, int64_t position, const model::RecurrentState& state);

  /// Collective: everybody's sums are added up on every rank.
  void reduce(core::Context& context, dist::Communicator& world);
  /// Fills in the totals, the buckets and, if `states`, the state points.
  void finish(bool states, PositionCurve& curve) const;

 private:
  struct LabelSums {
    double count = 0, loss = 0, correct = 0;
  };
  struct StateSums {
    double count = 0, sum = 0, squares = 0;
  };
  Bucket finish_bucket(size_t bucket, LabelSums& total) const;
  StatePoint finish_point(size_t point) const;

  int64_t sequences_;
  std::vector<model::StateSpec> specs_;
  std::vector<int64_t> layers_;  // that have recurrent states, ascending
  std::vector<Bucket> buckets_;
  std::vector<LabelSums> labels_;  // [sequences, buckets]
  std::vector<StateSums> states_;  // [buckets (their ends), layers]
};

}  // namespace longhaul::eval
