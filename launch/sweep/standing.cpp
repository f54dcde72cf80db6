#include "launch/sweep/standing.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/core/error.h"

namespace longhaul::launch {

namespace {

/// Arms of recipes that go on and have not come to `step`; 0: to the end, and all measured.
std::vector<Target> behind(const ArmList& list, const Standing& standing, int64_t step) {
  std::vector<Target> targets;
  for (size_t i = 0; i < list.recipes.size(); ++i) {
    if (standing.ended_at[i] > 0) continue;
    for (size_t j = 0; j < list.recipes[i].arms.size(); ++j) {
      const ArmProgress& progress = standing.arms[i][j];
      const bool is_there =
          step > 0 ? progress.is_done || progress.step >= step : progress.is_complete();
      if (!is_there && !progress.has_failed) {
        targets.push_back(
            {.arm = &list.recipes[i].arms[j], .until = step, .measure = progress.missing});
      }
    }
  }
  return targets;
}

/// A metric that runs here do not have is told by the first arm that has come to where it is
/// compared.
void check_metric(const SweepConfig& sweep, const Arm& arm, const ArmProgress& progress) {
  const std::vector<int64_t>& steps = sweep.halving.steps;
  if (!progress.is_done && (steps.empty() || progress.step < steps.front())) return;
  const std::string problem = missing_metric(sweep, arm);
  if (!problem.empty()) throw core::InputError(problem);
}

/// Without any value the recipes that happen to come first would be the best.
void check_some_value(const SweepConfig& sweep, const Standing& standing,
                      const std::vector<bool>& alive,
                      const std::vector<std::optional<double>>& values, int64_t step) {
  bool some_trained = false;
  for (size_t i = 0; i < alive.size(); ++i) {
    if (values[i]) return;
    const auto& arms = standing.arms[i];
    some_trained |= alive[i] && std::none_of(arms.begin(), arms.end(), [](const ArmProgress& arm) {
                      return arm.has_failed_training();
                    });
  }
  if (!some_trained) return;
  throw core::InputError(
      core::message("metric.name: no recipe has a finite ", sweep.metric.name, " of ",
                    enum_names(MetricRecord{})[static_cast<size_t>(sweep.metric.record)],
                    " records at step ", step, ", where halving.steps compares them"));
}

}  // namespace

std::vector<bool> survivors(const std::vector<bool>& alive,
                            const std::vector<std::optional<double>>& values, double keep,
                            MetricGoal goal) {
  std::vector<size_t> order;
  for (size_t i = 0; i < alive.size(); ++i) {
    if (alive[i]) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    if (!values[a] || !values[b]) return values[a].has_value() && !values[b].has_value();
    return goal == MetricGoal::kMinimize ? *values[a] < *values[b] : *values[a] > *values[b];
  });
  // Not even a rounding error may make 5 · 0.6 more than 3.
  const auto kept = static_cast<size_t>(std::ceil(keep * static_cast<double>(order.size()) - 1e-9));
  std::vector<bool> result(alive.size(), false);
  for (size_t i = 0; i < std::min(kept, order.size()); ++i) result[order[i]] = true;
  return result;
}

std::optional<double> recipe_metric(const SweepConfig& sweep, const Recipe& recipe,
                                    const std::vector<ArmProgress>& progress, int64_t step) {
  double sum = 0;
  for (size_t i = 0; i < recipe.arms.size(); ++i) {
    if (progress[i].has_failed_training()) return std::nullopt;
    const auto value = arm_metric(sweep, recipe.arms[i], step);
    if (!value) return std::nullopt;
    sum += *value;
  }
  return sum / static_cast<double>(recipe.arms.size());
}

Standing read_standing(const SweepConfig& sweep, const ArmList& list) {
  Standing standing;
  for (const Recipe& recipe : list.recipes) {
    auto& arms = standing.arms.emplace_back();
    for (const Arm& arm : recipe.arms) {
      arms.push_back(read_progress(sweep, arm));
      check_metric(sweep, arm, arms.back());
    }
  }
  standing.ended_at.assign(list.recipes.size(), 0);
  std::vector<bool> alive(list.recipes.size(), true);
  for (const int64_t step : sweep.halving.steps) {
    standing.next = behind(list, standing, step);
    if (!standing.next.empty()) return standing;
    std::vector<std::optional<double>> values(alive.size());
    for (size_t i = 0; i < alive.size(); ++i) {
      if (alive[i]) values[i] = recipe_metric(sweep, list.recipes[i], standing.arms[i], step);
    }
    check_some_value(sweep, standing, alive, values, step);
    alive = survivors(alive, values, sweep.halving.keep, sweep.metric.goal);
    for (size_t i = 0; i < alive.size(); ++i) {
      if (!alive[i] && standing.ended_at[i] == 0) standing.ended_at[i] = step;
    }
  }
  standing.next = behind(list, standing, 0);
  return standing;
}

}  // namespace longhaul::launch
