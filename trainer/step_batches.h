// What an optimizer step reads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <optional>
#include <vector>

#include "data/batch.h"
#include "trainer/trainer.h"

namespace longhaul::trainer {

struct StepBatches {
  std::vector<data::Batch> micro;
  int64_t labels = 0;  ///< over all ranks and micro-steps
  double seconds = 0;  ///< that reading took, mean over ranks
  /// Some rank could not read its part: what the first of those threw, on all ranks. The source of
  /// batches then stands where it stood.
  std::exception_ptr failure;

  /// Absent where there was nothing to predict.
  std::optional<double> mean_loss(double sum) const {
    return labels > 0 ? std::optional(sum / weight()) : std::nullopt;
  }
  /// What Σ loss is divided by.
  double weight() const { return static_cast<double>(std::max<int64_t>(1, labels)); }
};

/// Collective.
StepBatches next_batches(const TrainerParts& parts, int64_t micro_steps);

}  // namespace longhaul::trainer
