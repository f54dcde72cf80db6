// AdamW over the flat parameter buffer.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/core/context.h"
#include "model/parameters.h"
#include "trainer/config.h"

namespace longhaul::trainer {

class Optimizer {
 public:
  Optimizer(core::Context& context, model::ParameterSet& parameters, const OptimizerConfig& config);

  struct Outcome {
    double gradient_norm = 0;  ///< before clipping
    bool skipped = false;      ///< loss or norm was not finite: nothing changed
  };
  /// One step from the reduced gradients, with clipping; then zeroes the gradients. `finite` false
  /// skips.
  Outcome step(double rate, bool finite);

  int64_t steps_taken() const { return steps_; }  ///< skipped ones do not count
  void set_steps_taken(int64_t steps) { steps_ = steps; }
  core::TensorView first_moment() const { return first_moment_; }
  core::TensorView second_moment() const { return second_moment_; }

 private:
  struct Range {
    int64_t begin = 0, end = 0;
    bool decay = false;
  };

  core::Context& context_;
  model::ParameterSet& parameters_;
  OptimizerConfig config_;
  std::vector<Range> ranges_;  // of equal decay, together the whole buffer
  core::Tensor first_moment_, second_moment_;
  int64_t steps_ = 0;
};

}  // namespace longhaul::trainer
