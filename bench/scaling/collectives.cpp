#include "bench/scaling/collectives.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "dist/doubling.h"

namespace longhaul::bench {

namespace {

/// How the other ranks of a group lie, seen from one of them.
struct Peers {
  double near = 0, far = 0;  ///< within and outside its node
  double all() const { return near + far; }
};

Peers peers_of(const Network& network, const Group& group) {
  const int64_t in_node =
      std::clamp<int64_t>(network.ranks_per_node / group.stride, 1, group.ranks);
  return {.near = static_cast<double>(in_node - 1),
          .far = static_cast<double>(group.ranks - in_node)};
}

double latency_of(const Network& network, const Peers& peers) {
  return peers.far > 0 ? network.between.latency_s : network.inside.latency_s;
}

/// Every rank sends `each` bytes to every other at once; the links within and out of a node work at
/// the same time.
CollectiveCost direct(const Network& network, const Group& group, double each) {
  const Peers peers = peers_of(network, group);
  if (peers.all() == 0 || each == 0) return {};
  const double near = peers.near > 0 ? peers.near * each / network.inside.rate() : 0;
  const double far = peers.far * each / network.rate_out();
  return {.busy = std::max(near, far) + peers.all() * network.message_s,
          .latency = (network.shakes_hands(each) ? 3 : 1) * latency_of(network, peers),
          .bytes = peers.all() * each};
}

CollectiveCost in_turn(const CollectiveCost& a, const CollectiveCost& b) {
  return {.busy = a.busy + b.busy, .latency = a.latency + b.latency, .bytes = a.bytes + b.bytes};
}

/// In ⌈log₂ ranks⌉ rounds (dist/doubling.cpp): a message of round_bytes(ranks it goes past) and a
/// latency in each.
template <class Bytes>
CollectiveCost doubling(const Network& network, const Group& group, const Bytes& round_bytes) {
  CollectiveCost cost;
  for (int64_t distance = 1; distance < group.ranks; distance *= 2) {
    const int64_t to = distance * group.stride;
    const double bytes = round_bytes(std::min(distance, group.ranks - distance));
    cost.busy += bytes / network.rate(0, to) + network.message_s;
    cost.latency += network.link(0, to).latency_s;
    cost.bytes += bytes;
  }
  return cost;
}

bool goes_by_doubling(const Group& group, double bytes) {
  return dist::goes_by_doubling(group.ranks, static_cast<int64_t>(std::ceil(bytes)));
}

CollectiveCost host_all_gather_cost(const Network& network, const Group& group, double own_bytes) {
  if (!goes_by_doubling(group, own_bytes * static_cast<double>(group.ranks))) {
    return direct(network, group, own_bytes);
  }
  return doubling(network, group,
                  [&](int64_t ranks) { return own_bytes * static_cast<double>(ranks); });
}

/// One way around the ring, a piece of `each` bytes in every step. As many rings as links leave a
/// node run side by side; a stream runs one collective after the other, so nothing hides latency.
CollectiveCost ring(const Network& network, const Group& group, double each) {
  const Peers peers = peers_of(network, group);
  if (peers.all() == 0 || each == 0) return {};
  const double nodes = static_cast<double>(group.ranks) / (peers.near + 1);
  double rate = network.inside.rate();
  double latency = (static_cast<double>(group.ranks) - nodes) * network.inside.latency_s;
  if (peers.far > 0) {
    const double out = network.rate_out() * (peers.near + 1);
    rate = peers.near > 0 ? std::min(rate, out) : out;
    latency += (nodes - 1) * network.between.latency_s;
  }
  const double sent = peers.all() * each;
  return {.busy = sent / rate + latency + network.message_s, .latency = 0, .bytes = sent};
}

}  // namespace

CollectiveCost all_gather_cost(const Network& network, const Group& group, double own_bytes) {
  return network.collectives == Collectives::kRing
             ? ring(network, group, own_bytes)
             : host_all_gather_cost(network, group, own_bytes);
}

CollectiveCost reduce_scatter_cost(const Network& network, const Group& group, double bytes) {
  const double part = bytes / static_cast<double>(group.ranks);
  if (network.collectives == Collectives::kRing) return ring(network, group, part);
  return goes_by_doubling(group, bytes) ? host_all_reduce_cost(network, group, bytes)
                                        : direct(network, group, part);
}

CollectiveCost host_all_reduce_cost(const Network& network, const Group& group, double bytes) {
  if (goes_by_doubling(group, bytes)) {
    CollectiveCost cost = doubling(network, group, [&](int64_t) { return bytes; });
    if (!std::has_single_bit(static_cast<uint64_t>(group.ranks))) {
      // The last ranks join the first ones, and receive the result: a round more.
      const Link& link = network.link(0, (group.ranks - 1) * group.stride);
      cost.busy += bytes / link.rate() + network.message_s;
      cost.latency += link.latency_s;
      cost.bytes += bytes;
    }
    return cost;
  }
  if (dist::goes_whole(group.ranks, static_cast<int64_t>(bytes))) {
    return direct(network, group, bytes);
  }
  const CollectiveCost half = direct(network, group, bytes / static_cast<double>(group.ranks));
  return in_turn(half, half);
}

CollectiveCost all_reduce_cost(const Network& network, const Group& group, double bytes) {
  if (network.collectives == Collectives::kDirect) {
    return host_all_reduce_cost(network, group, bytes);
  }
  const CollectiveCost half = reduce_scatter_cost(network, group, bytes);
  return in_turn(half, half);
}

CollectiveCost all_to_all_cost(const Network& network, const Group& group, double bytes) {
  const double others = static_cast<double>(group.ranks - 1);
  return others == 0 ? CollectiveCost{} : direct(network, group, bytes / others);
}

CollectiveCost broadcast_cost(const Network& network, const Group& group, double bytes) {
  const Peers peers = peers_of(network, group);
  if (peers.all() == 0) return {};
  if (network.collectives == Collectives::kRing) {  // a pipeline along the ring
    CollectiveCost cost = ring(network, group, bytes / peers.all());
    cost.bytes = bytes;
    return cost;
  }
  if (dist::goes_in_shares(group.ranks, static_cast<int64_t>(bytes))) {
    const CollectiveCost half = direct(network, group, bytes / static_cast<double>(group.ranks));
    return in_turn(half, half);
  }
  // A binomial tree: the root sends to one rank a level. Several that follow each other wait for
  // the root's link only.
  const double levels = std::ceil(std::log2(static_cast<double>(group.ranks)));
  const double rate = peers.far > 0 ? network.rate_out() : network.inside.rate();
  const double trips = network.shakes_hands(bytes) ? levels + 2 : levels;
  return {.busy = levels * (bytes / rate + network.message_s),
          .latency = trips * latency_of(network, peers),
          .bytes = levels * bytes};
}

}  // namespace longhaul::bench
