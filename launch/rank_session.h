// The ranks of this job as a command sees them: MPI where mpirun started several, else one.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "dist/communicator.h"
#include "dist/mesh.h"
#include "dist/mpi_communicator.h"
#include "dist/nccl_communicator.h"
#include "kernels/core/context.h"

namespace longhaul::launch {

class RankSession {
 public:
  RankSession(int* argc, char*** argv);

  dist::Communicator& world() { return mpi_ ? mpi_->world() : *solo_; }
  bool is_first() { return world().rank() == 0; }
  bool is_mpi() const { return mpi_.has_value(); }
  int size() const { return size_; }
  int local_rank() const { return mpi_ ? mpi_->local_rank() : 0; }
  int ranks_on_same_processors() const { return mpi_ ? mpi_->ranks_on_same_processors() : 1; }
  double seconds_waited() const { return mpi_ ? mpi_->seconds_waited() : 0; }
  void set_time_limit(double seconds);
  void set_activity(const std::string& activity);

  /// Ends this process, and with it the job, after one line to stderr for each line of `text`.
  /// Ranks that met the same failure leave the telling to the first of them. What failed while
  /// running (kFailed) is told with host and activity.
  [[noreturn]] void fail(int exit_code, const std::string& text);
  /// At the end of a command that returned `code`: Error where its output to std::cout was lost.
  /// What was interrupted is saved and stays so, with a warning.
  int check_output(int code);
  /// What `body` returns; what it throws ends this process, with the exit code that belongs to it.
  int run(const std::function<int()>& body);

 private:
  std::optional<dist::MpiSession> mpi_;
  std::unique_ptr<dist::Communicator> solo_;
  int size_ = 1;
  std::string activity_;
};

/// All ranks as the memory of this rank's device reaches them: through NCCL where it is a GPU's and
/// there are others, else as the session does. Goes before the context and the session.
class DeviceWorld {
 public:
  /// InputError where the ranks' devices cannot work together. Collective.
  DeviceWorld(RankSession& session, core::Context& context, double time_limit_s);
  dist::Communicator& get() { return nccl_ ? nccl_->world() : session_.world(); }
  void set_activity(const std::string& activity);
  /// Runs `body`. On GPUs what it throws ends the job at once, told by this rank: unwinding would
  /// end communicators and wait for the device, and so for ranks that wait for this one.
  int run(const std::function<int()>& body);

 private:
  RankSession& session_;
  std::optional<dist::NcclSession> nccl_;
};

/// All ranks as data × sequence; InputError where `sequence_ranks` does not divide them.
dist::Mesh make_mesh(dist::Communicator& world, int64_t sequence_ranks);

/// glog's warnings and errors to stderr as "longhaul: rank R: …", nothing below, no files.
class LogSession {
 public:
  LogSession(const char* program, RankSession& session);
  ~LogSession();

 private:
  class Sink;
  std::unique_ptr<Sink> sink_;
};

}  // namespace longhaul::launch
