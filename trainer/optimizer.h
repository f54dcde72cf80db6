// AdamW over the flat parameter buffer, its moments whole on every rank or in shards (ZeRO-1).
#pragma once

#include <cstdint>
#include <vector>

#include "dist/communicator.h"
#include "dist/shard_layout.h"
#include "kernels/core/context.h"
#include "model/parameters.h"
#include "trainer/config.h"

namespace longhaul::trainer {

/// Elements whose squares are summed at once for the gradient norm: depends on the size of the
/// buffer alone, so the norm has the same bits however the buffer is shared. Shards consist of
/// whole blocks.
int64_t norm_block(int64_t elements);

/// Shards of a flat buffer of `elements` over all ranks of a group.
dist::ShardLayout optimizer_shards(int64_t elements, int ranks, int64_t bucket_elements);

class Optimizer {
 public:
  /// Every rank holds all moments and does the whole step.
  Optimizer(core::Context& context, model::ParameterSet& parameters, const OptimizerConfig& config);
  /// Each rank of `group` holds the moments of its pieces and updates them; the parameters travel
  /// bucket by bucket while the next bucket is updated. The results are the same bits.
  Optimizer(core::Context& context, model::ParameterSet& parameters, const OptimizerConfig& config,
            dist::Communicator& group, dist::ShardLayout layout);

  struct Outcome {
    double gradient_norm = 0;  ///< before clipping
    bool skipped = false;      ///< loss or norm was not finite: nothing changed
  };
  /// One step from the reduced gradients (of the own pieces, where sharded), with clipping; leaves
  /// them as they are. `finite` false skips; equal on all ranks. Collective where sharded.
  Outcome step(double rate, bool finite);

  int64_t steps_taken() const { return steps_; }  ///< skipped ones do not count
  void set_steps_taken(int64_t steps) { steps_ = steps; }

  bool is_sharded() const { return group_ != nullptr && group_->size() > 1; }
  int64_t elements() const { return layout_.elements(); }  ///< of the whole buffer
  const dist::ShardLayout& layout() const { return layout_; }
  /// Moments of elements [begin, begin + first_moment.elements()) of the flat buffer.
  struct Part {
    int64_t begin = 0;
    core::TensorView first_moment, second_moment;
  };
  /// What this rank holds, ascending; the whole buffer in one part where not sharded.
  std::vector<Part> parts() const;

 private:
  struct Range {
    int64_t begin = 0, end = 0;
    bool decay = false;
  };
  int rank() const { return group_ != nullptr ? group_->rank() : 0; }
  double gradient_norm();
  void update(const Part& part, double rate, double gradient_scale);
  void update_and_gather(double rate, double gradient_scale);

  core::Context& context_;
  model::ParameterSet& parameters_;
  OptimizerConfig config_;
  dist::Communicator* group_ = nullptr;  // nullptr: this rank alone does everything
  dist::ShardLayout layout_;
  std::vector<Range> ranges_;                  // of equal decay, together the whole buffer
  core::Tensor first_moment_, second_moment_;  // of the own pieces, one after the other
  std::vector<double> block_sums_;
  int64_t steps_ = 0;
};

}  // namespace longhaul::trainer
