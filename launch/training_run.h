#pragma once

#include "launch/run_config.h"
#include "launch/run_plan.h"

namespace longhaul::launch {

class RankSession;

struct TrainingRun {
  RunConfig config;  ///< resolved
  model::ModelConfig shape;
  RunPlan plan;
};

/// Puts a run together from its configuration, trains, and leaves the final model in RUN/model.
/// Returns the exit code. Collective over all ranks.
int run_training(RankSession& session, const TrainingRun& run, bool resume);

}  // namespace longhaul::launch
