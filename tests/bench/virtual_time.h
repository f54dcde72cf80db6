// Ranks that send real messages through threads and count time by themselves: what dist's own code
// would take on a network, as an oracle for the formulas of bench/scaling.
#pragma once

#include <functional>

#include "bench/scaling/network.h"
#include "dist/communicator.h"

namespace longhaul::test {

/// One rank's clock and link.
struct VirtualRank {
  double now = 0, link_free = 0;
  double bytes = 0;  ///< sent
  int64_t messages = 0;
};

/// Runs body on `ranks` threads; its communicator's messages (point to point, no handshakes)
/// move the clocks.
void run_in_virtual_time(int ranks, const bench::Network& network,
                         const std::function<void(dist::Communicator&, VirtualRank&)>& body);

}  // namespace longhaul::test
