// One job at a time writes to a run's folder.
#pragma once

#include <filesystem>

#include "dist/communicator.h"
#include "kernels/core/file_descriptor.h"

namespace longhaul::launch {

inline constexpr const char* kRunLockFile = ".lock";
/// NFS gives the locks of a host that is lost away after its lease, 90 s by default.
inline constexpr double kLockPatienceS = 150;

/// Held by every rank for as long as it may write. When a job is killed from outside, some of its
/// ranks can live on for a moment: a job that resumed meanwhile would mix its files with theirs.
/// The locks are POSIX ones (open file description), which end with their process and work across
/// the nodes of NFS and Lustre: rank r holds byte r of FOLDER/.lock; whoever begins must first get
/// all bytes. Where the file system has no locks a warning is logged and the job goes on.
class RunLock {
 public:
  /// Collective; the folder exists. Waits up to `patience_s` for ranks of another job to end, then
  /// throws InputError that names that job, on rank 0 (the others wait for it, however short their
  /// time limit).
  RunLock(const std::filesystem::path& folder, dist::Communicator& world, double patience_s);

 private:
  core::FileDescriptor file_;
};

}  // namespace longhaul::launch
