// What a collective over a group of ranks costs, as dist/ does it on the host (direct) and as NCCL
// does it (ring: Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms", JPDC 2009).
#pragma once

#include <cstdint>

#include "bench/scaling/network.h"

namespace longhaul::bench {

/// `ranks` ranks, `stride` apart: first, first + stride, …
struct Group {
  int64_t ranks = 1, first = 0, stride = 1;
  int64_t rank(int64_t position) const { return first + position * stride; }
};

/// One of several that follow each other: `busy` keeps the link, `latency` passes once, after the
/// last.
struct CollectiveCost {
  double busy = 0, latency = 0;
  double bytes = 0;  ///< that a rank sends
  double seconds() const { return busy + latency; }
};

/// own_bytes: of one rank's contribution.
CollectiveCost all_gather_cost(const Network& network, const Group& group, double own_bytes);
/// bytes: of the whole buffer.
CollectiveCost reduce_scatter_cost(const Network& network, const Group& group, double bytes);
CollectiveCost all_reduce_cost(const Network& network, const Group& group, double bytes);
/// bytes: that a rank sends to all the others together. Every pair of ranks exchanges directly.
CollectiveCost all_to_all_cost(const Network& network, const Group& group, double bytes);
CollectiveCost broadcast_cost(const Network& network, const Group& group, double bytes);

/// Of numbers in host memory, which always go directly.
CollectiveCost host_all_reduce_cost(const Network& network, const Group& group, double bytes);

}  // namespace longhaul::bench
