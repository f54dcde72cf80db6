// Ranks as threads of one process: tests, and the single-rank case.
#pragma once

#include <functional>
#include <memory>

#include "dist/communicator.h"

namespace longhaul::dist {

/// The one-rank world.
std::unique_ptr<Communicator> solo_communicator();

/// Runs body(communicator) on `ranks` threads and joins them. If one throws, the others are released from their
/// waits with an Error and the first exception is rethrown here.
void run_thread_ranks(int ranks, const std::function<void(Communicator&)>& body);

}  // namespace longhaul::dist
