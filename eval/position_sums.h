// What a curve adds up of one sequence: labels by bucket, states by position and layer.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "eval/perplexity.h"
#include "model/recurrent_state.h"

namespace longhaul::eval {

/// Labels of one sequence from `position` on; −1 does not count.
struct LabelRun {
  int64_t position = 0;
  std::span<const int32_t> labels, predicted;
  std::span<const double> losses;
  std::span<const int32_t> reaches;  ///< as LabelledTokens::reaches
};

class PositionSums {
 public:
  /// For sequences of `length` tokens; `states`: with those of the states, if there are any;
  /// `most_reach`: labels by reach too, up to this one (0: none).
  PositionSums(int64_t length, const std::vector<model::StateSpec>& specs, bool states,
               int64_t most_reach = 0);

  /// Numbers of a sequence; grows with log(length).
  int64_t width() const;
  void add(const LabelRun& run, std::span<double> sequence) const;
  /// The first position after `position` where states are wanted; at most the length.
  int64_t next_state_position(int64_t position) const;
  /// state [batch]; numbers [batch, width]. Positions where none are wanted are ignored.
  void add_states(core::Context& context, int64_t position, const model::RecurrentState& state,
                  std::span<double> numbers) const;

  /// numbers [sequences, width]: fills in the totals, the buckets and the state points.
  void finish(std::span<const double> numbers, PositionCurve& curve) const;

 private:
  struct Total {
    double count = 0, loss = 0, correct = 0;
  };
  void add_label(const LabelRun& run, size_t label, double* sums) const;
  Bucket finish_bucket(std::span<const double> numbers, Bucket bucket, size_t place,
                       Total& total) const;
  StatePoint finish_point(std::span<const double> numbers, size_t point) const;
  size_t sequences_in(std::span<const double> numbers) const;
  size_t place_of_labels(size_t bucket) const { return 3 * bucket; }
  size_t place_of_reach(size_t bucket) const { return 3 * (buckets_.size() + bucket); }
  size_t place_of_states(size_t point, size_t layer) const;

  std::vector<model::StateSpec> specs_;
  std::vector<int64_t> layers_;   // that have recurrent states, ascending; empty: no states wanted
  std::vector<double> elements_;  // of a sequence's states in each of these
  std::vector<Bucket> buckets_;   // of positions
  std::vector<Bucket> reaches_;   // of reaches
};

}  // namespace longhaul::eval
