#pragma once

#include "kernels/core/device.h"
#include "launch/run_config.h"
#include "trainer/trainer.h"

namespace longhaul::launch {

/// What the trainer is told of a run's configuration; on a device of this kind.
trainer::TrainerConfig trainer_config(const RunConfig& config, core::DeviceKind device);

/// parallel.bucket_mib, or what 0 stands for. Over NCCL every bucket costs the host some fifty
/// microseconds, on the CPU a smaller one is sooner on its way.
int64_t bucket_bytes(const ParallelSection& parallel, core::DeviceKind device);

}  // namespace longhaul::launch
