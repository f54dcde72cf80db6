#include "launch/trainer_settings.h"

namespace longhaul::launch {

int64_t bucket_bytes(const ParallelSection& parallel, core::DeviceKind device) {
  constexpr double kOnCpu = 4, kOnCuda = 32;
  const double automatic = device == core::DeviceKind::kCpu ? kOnCpu : kOnCuda;
  const double mib = parallel.bucket_mib > 0 ? parallel.bucket_mib : automatic;
  return static_cast<int64_t>(mib * (1 << 20));
}

trainer::TrainerConfig trainer_config(const RunConfig& config, core::DeviceKind device) {
  trainer::TrainerConfig parts;
  parts.initial_state = config.initial_state;
  parts.optimizer = config.optimizer;
  parts.schedule = config.schedule;
  parts.batch = config.data.batch;
  parts.checkpoint = config.checkpoint;
  parts.exchange = config.parallel.exchange;
  parts.full_gradient = config.parallel.gradient == GradientMode::kFull;
  parts.bucket_bytes = bucket_bytes(config.parallel, device);
  parts.cuda_graphs = config.parallel.cuda_graphs;
  parts.shard_optimizer = config.parallel.zero == 1;
  parts.seed = static_cast<uint64_t>(config.run.seed);
  parts.straggler_window_s = config.parallel.straggler_window_s;
  parts.log_every = config.run.log_every;
  parts.evaluate_every = config.evaluation.every;
  parts.configuration_hash = computation_hash(config);
  return parts;
}

}  // namespace longhaul::launch
