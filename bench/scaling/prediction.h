// An optimizer step of trainer::train on any mesh: time and its parts, memory, bytes sent.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "bench/scaling/gradient_time.h"
#include "bench/scaling/pass_time.h"
#include "dist/mesh.h"
#include "model/config.h"
#include "trainer/config.h"

namespace longhaul::bench {

struct StepQuestion {
  const model::ModelConfig& model;
  const Network& network;
  const Device& device;
  dist::MeshShape mesh;
  trainer::BatchConfig batch;  ///< segments is 1
  Sharing sharing = Sharing::kStates;
  dist::ExchangeAlgorithm algorithm = dist::ExchangeAlgorithm::kChain;  ///< not automatic
  bool full_gradient = true;
  bool shard_optimizer = true;
  int64_t bucket_bytes = int64_t{4} << 20;  ///< 0: the best of kBuckets
  trainer::SourceKind source = trainer::SourceKind::kStatePassing;

  int64_t ranks() const { return int64_t{mesh.data} * mesh.sequence; }
  int64_t rows() const { return batch.sequences / (batch.accumulation * mesh.data); }
  /// The longest segment of a rank.
  int64_t segment() const { return (batch.length + mesh.sequence - 1) / mesh.sequence; }
};

inline constexpr std::array kBuckets{int64_t{4} << 20, int64_t{16} << 20, int64_t{64} << 20,
                                     int64_t{256} << 20, int64_t{1} << 30};

struct Prediction {
  int64_t bucket_bytes = 0;
  double seconds = 0;
  // What the seconds are made of:
  double computing = 0;  ///< of one rank, optimizer included
  double exchange = 0;   ///< waiting for states, halos or all-to-alls
  double reduction = 0;  ///< waiting for sums of gradients after backward
  double gathering = 0;  ///< ZeRO-1: waiting for parameters
  double control = 0;    ///< numbers summed over all ranks; states given to the source and shuffled

  double network_share() const { return 1 - computing / seconds; }
  double memory_bytes = 0;  ///< of the rank that needs most
  // Sent in a step by the rank that sends most:
  double exchange_bytes = 0, gradient_bytes = 0, parameter_bytes = 0;
  double source_bytes = 0;  ///< final states handed out and shuffled over data ranks
};

/// Throws InputError where the mesh does not suit model or batch.
Prediction predict(const StepQuestion& question);
/// The seconds that ranks wait for each other in forward and backward of one micro-step.
double pass_waiting(const StepQuestion& question);
/// The memory alone.
double memory_of(const StepQuestion& question);
/// "" where the mesh suits, otherwise why not.
std::string misfit(const StepQuestion& question);

}  // namespace longhaul::bench
