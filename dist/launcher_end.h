#pragma once

namespace longhaul::dist {

/// For a rank that is about to abort the job: sees to it that the process that started this rank
/// (mpirun, or the daemon that mpirun put on this host) has ended ten seconds from now: a process
/// of its own waits and kills it. Open MPI's mpirun ends the ranks it can reach at once, but then
/// waits for the daemon of a host that fell out of the network until TCP gives up, some 15 minutes.
/// Does nothing where Open MPI's launcher is not the parent.
void end_launcher_later();

}  // namespace longhaul::dist
