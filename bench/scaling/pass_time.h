// Forward and backward of one micro-step on all ranks of a sequence group, as a timeline: each
// layer waits where its rank waits for others.
#pragma once

#include <vector>

#include "bench/scaling/collectives.h"
#include "bench/scaling/compute.h"
#include "bench/scaling/exchange_time.h"

namespace longhaul::bench {

/// What the ranks of a sequence group share: the recurrence along the tokens (states) or, as
/// Megatron-LM's Mamba context parallelism and DeepSpeed-Ulysses do, the heads: two all-to-alls a
/// layer and direction, nothing to hide them behind.
enum class Sharing { kStates, kHeads };

struct PassCase {
  const Network& network;
  Group group;
  Sharing sharing = Sharing::kStates;
  dist::ExchangeAlgorithm algorithm = dist::ExchangeAlgorithm::kChain;
  bool full_gradient = true;
  int64_t layers = 1;
  int64_t run_again = 0;  ///< the first so many layers' forward, once more in backward
  LayerSeconds forward, backward;
  double head_s = 0;
  ExchangeSize exchange;
  double halo_bytes = 0;
  CollectiveCost scatter, gather;  ///< kHeads: the all-to-alls before and after the recurrence
};

/// Seconds since the pass began, of the rank that is last.
struct PassTimes {
  double end = 0;
  double computing = 0;             ///< of a rank, waiting left out
  double head_ready = 0;            ///< gradients of the head's own parameters are final
  std::vector<double> layer_ready;  ///< of each layer
};
PassTimes time_of_pass(const PassCase& pass);

}  // namespace longhaul::bench
