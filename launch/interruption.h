#pragma once

#include "kernels/core/context.h"

namespace longhaul::launch {

/// From now on SIGTERM and SIGUSR1 only set a flag; a second SIGTERM ends the process as usual.
/// They are taken by a thread of their own, never by `context`'s. Call it once.
void catch_interruptions(core::Context& context);
bool interrupted();

}  // namespace longhaul::launch
