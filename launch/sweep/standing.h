// Where a sweep stands: a function of its folder alone, so that whoever looks, or goes on after an
// interruption, comes to the same decisions.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "launch/sweep/arm_record.h"
#include "launch/sweep/arms.h"

namespace longhaul::launch {

/// Successive halving (Jamieson & Talwalkar 2016): the best ⌈keep · n⌉ of the n recipes that are
/// `alive`. Recipes without a value are behind all others; equal ones go by their place.
std::vector<bool> survivors(const std::vector<bool>& alive,
                            const std::vector<std::optional<double>>& values, double keep,
                            MetricGoal goal);

/// An arm that has something to do.
struct Target {
  const Arm* arm = nullptr;
  int64_t until = 0;                       ///< step to stop at; 0: to the end
  const MeasureConfig* measure = nullptr;  ///< to be taken; nullptr: it is to be trained
};

struct Standing {
  std::vector<std::vector<ArmProgress>> arms;  ///< of each recipe
  std::vector<int64_t> ended_at;               ///< step at which halving ended the recipe; 0: not
  std::vector<Target> next;  ///< what can be done now; empty: nothing is left to do
};
/// Points into `list` and `sweep`. InputError where the metric that recipes are compared by is not
/// there.
Standing read_standing(const SweepConfig& sweep, const ArmList& list);

/// Mean over the recipe's arms; nothing if the training of one has failed or one has no value.
std::optional<double> recipe_metric(const SweepConfig& sweep, const Recipe& recipe,
                                    const std::vector<ArmProgress>& progress, int64_t step);

}  // namespace longhaul::launch
