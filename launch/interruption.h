#pragma once

namespace longhaul::launch {

/// From now on SIGTERM and SIGUSR1 only set a flag; a second SIGTERM ends the process as usual.
/// They are taken by a thread of their own, never by the calling one or those that it starts from
/// now on. Call it once, before any thread that computes is there.
void catch_interruptions();
bool interrupted();

}  // namespace longhaul::launch
