// The algorithms of the state exchange. Each start function posts its first messages and returns
// what finishes.
#pragma once

#include <memory>

#include "dist/state_exchange.h"

namespace longhaul::dist {

/// One exchange as every algorithm sees it: ranks counted in the direction of flow.
struct ExchangeSetting {
  core::Context& context;
  Communicator& group;
  ExchangeArgs args;
  int tag = 0;

  int position() const { return at(group.rank()); }  ///< 0: where `boundary` enters
  int last() const { return group.size() - 1; }
  /// Rank at a position, and position of a rank.
  int at(int index) const { return args.direction == Direction::kForward ? index : last() - index; }
  core::DType dtype() const { return args.state.dtype(); }
};

std::unique_ptr<StateExchange::Run> start_all_gather_exchange(const ExchangeSetting& setting);
std::unique_ptr<StateExchange::Run> start_chain_exchange(const ExchangeSetting& setting);
/// Blocks in which the chain passes a state on.
int64_t chain_blocks(int64_t state_bytes);
std::unique_ptr<StateExchange::Run> start_log_step_exchange(const ExchangeSetting& setting);

}  // namespace longhaul::dist
