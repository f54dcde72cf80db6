#pragma once

namespace longhaul::launch {

/// From now on SIGTERM, SIGINT, SIGHUP and SIGUSR1 only set a flag, unless they are ignored;
/// SIGTERM or SIGINT two seconds or more after the first of them ends the process as usual (sooner
/// it is the same one, sent to the process and to its group). They are taken by a thread of their
/// own, never by the calling one or those that it starts from now on. Call it once, before any
/// thread that computes is there.
void catch_interruptions();
bool interrupted();

/// From now on writing to a pipe that nobody reads is an error of the stream, not the process's
/// end.
void outlive_readers();

}  // namespace longhaul::launch
