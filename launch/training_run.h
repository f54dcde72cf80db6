#pragma once

#include "launch/run_config.h"
#include "launch/run_plan.h"
#include "trainer/training_checkpoint.h"

namespace longhaul::launch {

class RankSession;
class RunData;

struct TrainingRun {
  RunConfig config;  ///< resolved
  const RunData& data;
  model::ModelConfig shape;
  RunPlan plan;
  trainer::Resume resume = trainer::Resume::kNo;
  int64_t until = 0;  ///< step to save and stop at, as if interrupted; 0: none
};

/// Puts a run together from its configuration, trains, and leaves the final model in RUN/model.
/// Returns the exit code. Collective over all ranks.
int run_training(RankSession& session, const TrainingRun& run);

}  // namespace longhaul::launch
