// What a run will be, computed before anything large is allocated.
#pragma once

#include <cstdint>
#include <string>

#include "dist/mesh.h"
#include "launch/run_config.h"

namespace longhaul::launch {

struct RunPlan {
  dist::MeshShape mesh;
  int64_t rows = 0;  ///< sequences of a micro-step on a rank
  int64_t parameters = 0;
  int64_t tokens = 0;       ///< of the whole run, over all ranks
  int64_t state_bytes = 0;  ///< recurrent state of one sequence, all layers
  // Per rank:
  int64_t weight_bytes = 0;      ///< parameters, gradients, two moments
  int64_t activation_bytes = 0;  ///< about
  int64_t source_bytes = 0;      ///< buffer of final states
  int64_t gradient_traffic = 0;  ///< sent a step: ring all-reduce
  int64_t exchange_traffic = 0;  ///< sent a step: states and conv halos of a sequence group
};

/// The configuration with everything filled in that depends on files and ranks: data ranks, the
/// model's shape and vocabulary, the evaluation's length. InputError where the data does not suit
/// the model. `shape` receives the model's shape, wherever it comes from.
RunConfig resolve(const RunConfig& config, int64_t ranks, int64_t data_vocabulary,
                  model::ModelConfig& shape);

/// `config` resolved.
RunPlan plan_run(const RunConfig& config, const model::ModelConfig& shape, int64_t ranks);
std::string describe(const RunPlan& plan, const RunConfig& config);

}  // namespace longhaul::launch
