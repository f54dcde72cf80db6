// Ranks as threads of one process: tests, and the single-rank case.
#pragma once

#include <functional>
#include <memory>

#include "dist/communicator.h"

namespace longhaul::dist {

/// The one-rank world.
std::unique_ptr<Communicator> solo_communicator();

/// Runs body(communicator) on `ranks` threads and joins them. If one throws, the others are
/// released from their waits with an Error and the first exception is rethrown here. A wait longer
/// than the limit throws an Error that names the operation and the ranks that were not waiting for
/// anything.
void run_thread_ranks(int ranks, const std::function<void(Communicator&)>& body,
                      double time_limit_s = 300);

}  // namespace longhaul::dist
