// How long an exchange of states takes on every rank of a sequence group: the messages of
// dist/exchange_*.cpp, one by one.
#pragma once

#include <vector>

#include "bench/scaling/collectives.h"
#include "dist/state_exchange.h"

namespace longhaul::bench {

/// Seconds at which each position of the flow (dist/exchange_runs.h) starts the exchange and at
/// which it has nothing left to compute meanwhile.
struct ExchangeStart {
  std::vector<double> begin, wait;
};

struct ExchangeSize {
  double state_bytes = 0, log_decay_bytes = 0;
  double apply_s = 0;  ///< of S_out = a ⊙ S_in + S_ext on all of it
};

/// One exchange over `group` in `direction`. `algorithm` is not automatic.
struct ExchangeCase {
  const Network& network;
  Group group;
  dist::Direction direction = dist::Direction::kForward;
  dist::ExchangeAlgorithm algorithm = dist::ExchangeAlgorithm::kChain;
  ExchangeSize size;
};

/// Seconds at which each position holds its incoming state.
std::vector<double> exchange_times(const ExchangeCase& exchange, const ExchangeStart& start);

/// Bytes that the rank which sends most sends.
double exchange_bytes(const ExchangeCase& exchange);

}  // namespace longhaul::bench
