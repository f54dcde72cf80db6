#pragma once

#include "launch/run_config.h"
#include "trainer/trainer.h"

namespace longhaul::launch {

/// What the trainer is told of a run's configuration.
trainer::TrainerConfig trainer_config(const RunConfig& config);

}  // namespace longhaul::launch
