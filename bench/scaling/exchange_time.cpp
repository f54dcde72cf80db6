#include "bench/scaling/exchange_time.h"

#include <algorithm>
#include <cmath>

#include "dist/exchange_runs.h"

namespace longhaul::bench {

namespace {

using dist::ExchangeAlgorithm;

int64_t rank_at(const ExchangeCase& exchange, int64_t position) {
  const bool forward = exchange.direction == dist::Direction::kForward;
  return exchange.group.rank(forward ? position : exchange.group.ranks - 1 - position);
}

/// When a rank's messages begin to move after it started the exchange.
double moves_at(const ExchangeCase& exchange, const ExchangeStart& start, size_t position) {
  return exchange.network.overlaps ? start.begin[position] : start.wait[position];
}

std::vector<double> chain(const ExchangeCase& exchange, const ExchangeStart& start) {
  const auto ranks = static_cast<size_t>(exchange.group.ranks);
  const auto blocks =
      static_cast<size_t>(dist::chain_blocks(static_cast<int64_t>(exchange.size.state_bytes)));
  const double bytes = exchange.size.state_bytes / static_cast<double>(blocks);
  const double apply = exchange.size.apply_s / static_cast<double>(blocks);
  std::vector<double> done(ranks), arrived(blocks);
  for (size_t p = 0; p < ranks; ++p) {
    const bool sends = p + 1 < ranks;
    double now = p == 0 ? start.begin[0] : start.wait[p], link_free = 0;
    std::vector<double> next(blocks);
    for (size_t b = 0; b < blocks; ++b) {
      if (p > 0) now = std::max(now, arrived[b]);
      if (!sends) continue;
      now += apply;
      const Passage passage =
          pass_message(exchange.network,
                       {.from = rank_at(exchange, static_cast<int64_t>(p)),
                        .to = rank_at(exchange, static_cast<int64_t>(p) + 1),
                        .bytes = bytes,
                        .sender_ready = p == 0 ? std::max(now, moves_at(exchange, start, 0)) : now,
                        .receiver_ready = moves_at(exchange, start, p + 1),
                        .link_free = link_free});
      link_free = passage.sent;
      now += exchange.network.message_s;
      next[b] = passage.arrived;
    }
    done[p] = std::max({now, start.wait[p], sends ? link_free : 0.0});
    arrived = std::move(next);
  }
  return done;
}

std::vector<double> log_step(const ExchangeCase& exchange, const ExchangeStart& start) {
  const auto ranks = static_cast<size_t>(exchange.group.ranks);
  const double bytes = exchange.size.state_bytes + exchange.size.log_decay_bytes;
  std::vector<double> now(ranks), sends_at(ranks), arrived(ranks);
  for (size_t p = 0; p < ranks; ++p) {
    now[p] = start.wait[p];
    sends_at[p] = moves_at(exchange, start, p) + exchange.size.apply_s;
  }
  for (size_t d = 1; d < ranks; d *= 2) {
    for (size_t p = 0; p + d < ranks; ++p) {
      const Passage passage =
          pass_message(exchange.network, {.from = rank_at(exchange, static_cast<int64_t>(p)),
                                          .to = rank_at(exchange, static_cast<int64_t>(p + d)),
                                          .bytes = bytes,
                                          .sender_ready = sends_at[p],
                                          .receiver_ready = moves_at(exchange, start, p + d),
                                          .link_free = 0});
      arrived[p + d] = passage.arrived;
      now[p] = std::max(now[p], passage.sent);
    }
    for (size_t p = 0; p < ranks; ++p) {
      if (p >= d) now[p] = std::max(now[p], arrived[p]) + exchange.size.apply_s;
      const bool sends_on = p + 2 * d < ranks;
      if (p >= d && sends_on) now[p] += exchange.size.apply_s;
      sends_at[p] = now[p];
    }
  }
  return now;
}

std::vector<double> all_gather(const ExchangeCase& exchange, const ExchangeStart& start) {
  const auto ranks = static_cast<size_t>(exchange.group.ranks);
  double begin = 0;
  for (size_t p = 0; p < ranks; ++p) begin = std::max(begin, moves_at(exchange, start, p));
  const double there =
      begin + all_gather_cost(exchange.network, exchange.group,
                              exchange.size.state_bytes + exchange.size.log_decay_bytes)
                  .seconds();
  std::vector<double> done(ranks);
  for (size_t p = 0; p < ranks; ++p) {
    done[p] = std::max(there, start.wait[p]) + static_cast<double>(p) * exchange.size.apply_s;
  }
  return done;
}

}  // namespace

std::vector<double> exchange_times(const ExchangeCase& exchange, const ExchangeStart& start) {
  if (exchange.group.ranks == 1) return start.wait;
  switch (exchange.algorithm) {
    case ExchangeAlgorithm::kChain:
      return chain(exchange, start);
    case ExchangeAlgorithm::kLogStep:
      return log_step(exchange, start);
    default:
      return all_gather(exchange, start);
  }
}

double exchange_bytes(const ExchangeCase& exchange) {
  const auto ranks = static_cast<double>(exchange.group.ranks);
  if (exchange.group.ranks == 1) return 0;
  const double map = exchange.size.state_bytes + exchange.size.log_decay_bytes;
  switch (exchange.algorithm) {
    case ExchangeAlgorithm::kChain:
      return exchange.size.state_bytes;
    case ExchangeAlgorithm::kLogStep:
      return std::ceil(std::log2(ranks)) * map;
    default:
      return (ranks - 1) * map;
  }
}

}  // namespace longhaul::bench
