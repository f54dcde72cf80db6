#include "bench/scaling/exchange_time.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "bench/scaling/shared_links.h"
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

/// One collective: nobody has anything before all have begun.
std::vector<double> gathered_at_once(const ExchangeCase& exchange, const ExchangeStart& start) {
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

/// Every rank sends its map to those behind it, the nearest first: log-decays, then the state.
std::vector<double> sent_to_those_behind(const ExchangeCase& exchange, const ExchangeStart& start) {
  const Network& network = exchange.network;
  const int64_t ranks = exchange.group.ranks;
  std::vector<double> done = start.wait;
  SharedLinks links(network);
  for (int64_t p = 0; p < ranks; ++p) {
    double now = moves_at(exchange, start, static_cast<size_t>(p)), link_free = 0;
    for (int64_t q = p + 1; q < ranks; ++q) {
      for (const double bytes : {exchange.size.log_decay_bytes, exchange.size.state_bytes}) {
        const MessageArgs message{
            .from = rank_at(exchange, p),
            .to = rank_at(exchange, q),
            .bytes = bytes,
            .sender_ready = now,
            .receiver_ready = moves_at(exchange, start, static_cast<size_t>(q)),
            .link_free = link_free};
        now += network.message_s;
        double& sender_done = done[static_cast<size_t>(p)];
        if (network.shares_links) {
          const double held = leaves_at(network, message);
          links.send(
              {.from = message.from, .to = message.to, .bytes = bytes, .at = held, .label = q});
          sender_done = std::max(sender_done, held);
          continue;
        }
        const Passage passage = pass_message(network, message);
        link_free = passage.sent;
        sender_done = std::max(sender_done, passage.sent);
        double& receiver_done = done[static_cast<size_t>(q)];
        receiver_done = std::max(receiver_done, passage.arrived);
      }
    }
  }
  while (const auto arrival = links.next_arrival()) {
    double& receiver_done = done[static_cast<size_t>(arrival->label)];
    receiver_done = std::max(receiver_done, arrival->at);
  }
  for (int64_t p = 0; p < ranks; ++p) {
    done[static_cast<size_t>(p)] += static_cast<double>(p) * exchange.size.apply_s;
  }
  return done;
}

std::vector<double> all_gather(const ExchangeCase& exchange, const ExchangeStart& start) {
  return exchange.network.collectives == Collectives::kRing ? gathered_at_once(exchange, start)
                                                            : sent_to_those_behind(exchange, start);
}

/// log_step where a send is over once the machine holds it: a rank that waits for nobody hands out
/// the messages of all its rounds at once, and even the first is there late.
class SharedLogStep {
 public:
  SharedLogStep(const ExchangeCase& exchange, const ExchangeStart& start)
      : exchange_(exchange), start_(start), links_(exchange.network) {}

  std::vector<double> run() {
    const auto ranks = static_cast<size_t>(exchange_.group.ranks);
    for (size_t p = 0; p < ranks; ++p) positions_.push_back({.now = start_.wait[p]});
    for (size_t p = 0; p < ranks; ++p) {
      send(p, 0, moves_at(exchange_, start_, p) + exchange_.size.apply_s);
      go_on(p);
    }
    while (const auto arrival = links_.next_arrival()) {
      const auto p = static_cast<size_t>(arrival->label / kRounds);
      positions_[p].arrived[static_cast<size_t>(arrival->label % kRounds)] = arrival->at;
      go_on(p);
    }
    std::vector<double> done;
    for (const Position& position : positions_) done.push_back(position.now);
    return done;
  }

 private:
  static constexpr size_t kRounds = 64;
  struct Position {
    double now = 0;
    double held = 0;   ///< the machine has the last message sent
    size_t round = 0;  ///< the first that is not over
    std::map<size_t, double> arrived{};
  };

  /// Round after round as in dist/exchange_log_step.cpp, as far as the maps go that have arrived.
  void go_on(size_t p) {
    Position& position = positions_[p];
    const double apply = exchange_.size.apply_s;
    for (;; ++position.round) {
      const size_t distance = size_t{1} << position.round;
      if (distance >= positions_.size()) return;
      if (distance <= p) {
        const auto found = position.arrived.find(position.round);
        if (found == position.arrived.end()) return;
        position.now = std::max(position.now, found->second) + apply;
      }
      position.now = std::max(position.now, position.held);
      if (p + 2 * distance >= positions_.size()) continue;
      if (distance <= p) position.now += apply;
      send(p, position.round + 1, position.now);
    }
  }

  void send(size_t p, size_t round, double ready) {
    const size_t to = p + (size_t{1} << round);
    if (to >= positions_.size()) return;
    const MessageArgs message{.from = rank_at(exchange_, static_cast<int64_t>(p)),
                              .to = rank_at(exchange_, static_cast<int64_t>(to)),
                              .bytes = exchange_.size.state_bytes + exchange_.size.log_decay_bytes,
                              .sender_ready = ready,
                              .receiver_ready = moves_at(exchange_, start_, to)};
    positions_[p].held = leaves_at(exchange_.network, message);
    links_.send({.from = message.from,
                 .to = message.to,
                 .bytes = message.bytes,
                 .at = positions_[p].held,
                 .label = static_cast<int64_t>(to * kRounds + round)});
  }

  const ExchangeCase& exchange_;
  const ExchangeStart& start_;
  SharedLinks links_;
  std::vector<Position> positions_;
};

}  // namespace

std::vector<double> exchange_times(const ExchangeCase& exchange, const ExchangeStart& start) {
  if (exchange.group.ranks == 1) return start.wait;
  switch (exchange.algorithm) {
    case ExchangeAlgorithm::kChain:
      return chain(exchange, start);
    case ExchangeAlgorithm::kLogStep:
      return exchange.network.shares_links ? SharedLogStep(exchange, start).run()
                                           : log_step(exchange, start);
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
