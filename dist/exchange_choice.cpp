// What one layer's exchange costs in a training step, by a few assumed figures. Nothing is measured
// at run time: two equal runs must not differ because a machine was busy at the start of one.
#include <bit>

#include "dist/exchange_runs.h"

namespace longhaul::dist {

namespace {

// The network between nodes of bench/scaling/networks/h100_ib400.yaml; within a node every choice
// is good to some ten microseconds a layer.
constexpr double kLatency = 8e-6;        // seconds of a message: its rank's own time and the way
constexpr double kOwnTime = 2e-6;        // of it, its rank's own
constexpr double kNotedOwnTime = 20e-6;  // where two notes over the host go before (NCCL)
constexpr double kLinkRate = 42.5e9;     // bytes a second
constexpr double kApplyRate = 1e12;      // bytes of a state a second that a map is applied to
// A chain's length is paid once a pass, not in every layer: rank after rank is a little later from
// then on (SCALING.md, which exchange). As many layers as the smallest published Mamba-2 has.
constexpr double kLayers = 24;

}  // namespace

ExchangeAlgorithm cheapest_exchange(const ExchangeQuestion& question) {
  if (question.ranks < 2) return ExchangeAlgorithm::kAllGather;
  const auto bytes = static_cast<double>(question.state_bytes);
  const double travel = bytes / kLinkRate, apply = bytes / kApplyRate;
  // A chain passes states alone.
  const double map_travel = travel + static_cast<double>(question.log_decay_bytes) / kLinkRate;
  const double own = question.free_messages ? kOwnTime : kNotedOwnTime;
  const double before = question.ranks - 1;
  const double rounds = std::bit_width(static_cast<unsigned>(question.ranks - 1));
  const auto blocks = static_cast<double>(chain_blocks(question.state_bytes));

  // Log-decays and state, a message each; NCCL passes them along a ring in one go.
  const double sends = question.free_messages ? 2 * kOwnTime : kOwnTime;
  const double all_gather = kLatency + before * (sends + map_travel + apply);
  const double log_step = rounds * (kLatency + own + map_travel + 2 * apply);
  const double hop = kLatency + own + (travel + apply) / blocks;
  const double chain = blocks * own + travel + apply + before * hop / kLayers;
  if (all_gather <= log_step && all_gather <= chain) return ExchangeAlgorithm::kAllGather;
  return chain < log_step ? ExchangeAlgorithm::kChain : ExchangeAlgorithm::kLogStep;
}

}  // namespace longhaul::dist
