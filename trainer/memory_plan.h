// The memory of a training run on one rank, known before anything is allocated.
#pragma once

#include <cstdint>

#include "dist/mesh.h"
#include "kernels/core/device.h"
#include "kernels/core/dtype.h"
#include "model/config.h"
#include "trainer/trainer.h"

namespace longhaul::trainer {

/// Bytes on the rank that needs most, as its pool counts them.
struct MemoryPlan {
  int64_t parameters = 0, gradients = 0;
  int64_t optimizer = 0;    ///< both moments; a shard of them under ZeRO-1
  int64_t states = 0;       ///< h₀, final states, the source's buffer
  int64_t activations = 0;  ///< kept from forward to backward
  int64_t loss = 0;         ///< block of logits
  int64_t exchange = 0;     ///< buffers of an exchange of states and its halo
  int64_t libraries = 0;    ///< workspace that cuBLASLt holds
  int64_t peak = 0;         ///< of everything together, backward's working memory included
  /// What the pool has taken from the system by the end of a step: a freed block serves its own
  /// size only.
  int64_t reserved = 0;
  // Not of the pool, on the host:
  int64_t buckets_under_way = 0;  ///< what the host communicator may hold of them
  int64_t checkpoint_copy = 0;    ///< rank 0's, while a checkpoint is written
};

struct MemoryQuestion {
  const model::ModelConfig& model;
  core::DeviceKind device = core::DeviceKind::kCpu;
  core::DType dtype = core::DType::kF32;
  const TrainerConfig& trainer;
  dist::MeshShape mesh;
  int threads = 1;  ///< of a rank
};
MemoryPlan plan_memory(const MemoryQuestion& question);
/// On this rank of a sequence group.
MemoryPlan plan_memory_of_rank(const MemoryQuestion& question, int sequence_rank);

}  // namespace longhaul::trainer
