#pragma once

namespace longhaul::launch {

/// From now on SIGTERM and SIGUSR1 only set a flag; a second SIGTERM ends the process as usual.
void catch_interruptions();
bool interrupted();

}  // namespace longhaul::launch
