// What a run will be, computed before anything large is allocated.
#pragma once

#include <cstdint>
#include <string>

#include "dist/mesh.h"
#include "launch/run_config.h"
#include "trainer/memory_plan.h"

namespace longhaul::launch {

struct RunPlan {
  core::DeviceKind device = core::DeviceKind::kCpu;  ///< auto: as this machine has one or not
  dist::MeshShape mesh;
  int64_t rows = 0;  ///< sequences of a micro-step on a rank
  dist::ExchangeAlgorithm exchange = dist::ExchangeAlgorithm::kAutomatic;  ///< never that
  int64_t parameters = 0;
  int64_t tokens = 0;          ///< of the whole run, over all ranks
  int64_t checkpoint = 0;      ///< bytes of a training checkpoint
  int64_t state_bytes = 0;     ///< states of one sequence, all layers
  int64_t passed_bytes = 0;    ///< of them, what state passing or TBTT keeps; other sources: 0
  trainer::MemoryPlan memory;  ///< of the rank that needs most
  int64_t other_peak = 0;      ///< as memory.peak, were data.recompute the other way
  int64_t block_bytes = 0;     ///< of shared memory that a block of the device's threads takes
  // Sent in a step by each rank:
  int64_t gradient_traffic = 0;   ///< sums of gradients; under ZeRO-1 their scattering
  int64_t parameter_traffic = 0;  ///< ZeRO-1: gathering of what was updated
  int64_t exchange_traffic = 0;   ///< states and conv halos of a sequence group
};

/// What a rank is planned to take of its host's memory and of its device's.
int64_t host_bytes(const RunPlan& plan);
int64_t device_bytes(const RunPlan& plan);

/// The configuration with everything filled in that depends on files and ranks: data ranks, the
/// model's shape and vocabulary, the evaluation's length. InputError where the data does not suit
/// the model. `shape` receives the model's shape, wherever it comes from.
RunConfig resolve(const RunConfig& config, int64_t ranks, int64_t data_vocabulary,
                  model::ModelConfig& shape);

/// `config` resolved; `threads` of a rank.
RunPlan plan_run(const RunConfig& config, const model::ModelConfig& shape, int64_t ranks,
                 int threads);
std::string describe(const RunPlan& plan, const RunConfig& config);

}  // namespace longhaul::launch
