#pragma once

#include <functional>

#include "dist/communicator.h"

namespace longhaul::launch {

struct ClockOffset {
  double seconds = 0;      ///< this rank's clock minus that of rank 0
  double uncertainty = 0;  ///< half the shortest round trip: the offset is so far off at most
};

/// Seconds since 1970 by this host's clock.
double clock_now();

/// By messages to rank 0 and back, as NTP does (RFC 5905, section 8): rank 0's time is taken to lie
/// in the middle of the round trip; the shortest of several counts. Collective, one rank at a time.
ClockOffset measure_clock_offset(dist::Communicator& world,
                                 const std::function<double()>& now = clock_now);

}  // namespace longhaul::launch
