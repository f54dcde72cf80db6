#include "trainer/checkpoint_retention.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace longhaul::trainer {

std::vector<int64_t> superfluous(const std::vector<RetainedCheckpoint>& checkpoints,
                                 const CheckpointConfig& config) {
  std::vector<RetainedCheckpoint> scored;
  for (const RetainedCheckpoint& checkpoint : checkpoints) {
    if (checkpoint.score && !std::isnan(*checkpoint.score)) scored.push_back(checkpoint);
  }
  std::sort(scored.begin(), scored.end(), [](const auto& a, const auto& b) {
    return *a.score != *b.score ? *a.score < *b.score : a.step > b.step;
  });
  scored.resize(std::min(scored.size(), static_cast<size_t>(config.keep_best)));
  const auto is_best = [&](int64_t step) {
    return std::any_of(scored.begin(), scored.end(),
                       [&](const auto& checkpoint) { return checkpoint.step == step; });
  };
  size_t newest = checkpoints.size();  // where the newest that stay begin
  for (int64_t counted = 0; newest > 0 && counted < config.keep; --newest) {
    counted += checkpoints[newest - 1].in_skipped_row ? 0 : 1;
  }
  std::vector<int64_t> steps;
  for (size_t i = 0; i < newest; ++i) {
    const int64_t step = checkpoints[i].step;
    const bool is_milestone = config.keep_every > 0 && step % config.keep_every == 0;
    if (!is_milestone && !is_best(step)) steps.push_back(step);
  }
  return steps;
}

}  // namespace longhaul::trainer
