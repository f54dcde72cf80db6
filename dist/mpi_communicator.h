// Ranks as MPI processes, host memory.
#pragma once

#include <memory>
#include <string>

#include "dist/communicator.h"

namespace longhaul::dist {

/// MPI from initialisation to finalisation; exactly one, made first in main. Without mpirun it is
/// one rank. Destroyed while an exception unwinds it aborts the job instead of finalising, so that
/// no rank waits for this one.
class MpiSession {
 public:
  struct Options {
    double time_limit_s = 300;  ///< longest wait inside one operation before the job is ended
    /// Longer messages travel in pieces: MPI counts are int.
    int64_t largest_message_bytes = int64_t{1} << 30;
  };
  MpiSession(int* argc, char*** argv) : MpiSession(argc, argv, Options{}) {}
  MpiSession(int* argc, char*** argv, Options options);
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  /// All ranks of the job; lives as long as the session.
  Communicator& world();
  void set_time_limit(double seconds);
  /// What the program is doing ("step 17"); stands in the message if an operation runs out of time.
  void set_activity(const std::string& activity);
  /// By this rank so far, for other ranks.
  double seconds_waited() const;
  int local_rank() const;  ///< among the ranks of this node (shared-memory split)
  /// Ranks of this node that may run on the very processors that this one may run on, itself among
  /// them: all of them where ranks are not bound, 1 where each one has processors of its own.
  int ranks_on_same_processors() const;
  /// Ends the whole job at once with this exit code.
  [[noreturn]] void abort(int code);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Name and version of the MPI library ("Open MPI v4.1.4").
std::string mpi_library();

/// True if this process was started by mpirun or srun with more than one rank.
bool launched_by_mpi();

}  // namespace longhaul::dist
