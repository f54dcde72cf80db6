#include "launch/run_lock.h"

#include <glog/logging.h>

#include <chrono>
#include <string>
#include <thread>

#include "kernels/core/error.h"
#include "launch/file_lock.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;
using core::message;

/// Takes every byte. Rank 0's part.
LockOutcome take_all(const core::FileDescriptor& file, const fs::path& path, double patience_s) {
  const auto start = std::chrono::steady_clock::now();
  bool told = false;
  for (;;) {
    const LockOutcome outcome = take_lock(file, {}, path);
    if (outcome != LockOutcome::kHeldByOther) return outcome;
    const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - start;
    if (waited.count() >= patience_s) {
      throw core::InputError(message(path.parent_path().string(), ": ", lock_holder(file),
                                     " is writing to this run, expected it to end first (if it "
                                     "has, and its host is lost with ",
                                     "the lock, delete ", path.string(), ")"));
    }
    LOG_IF(WARNING, !told) << path.parent_path().string() << ": waiting for " << lock_holder(file)
                           << ", up to " << patience_s << " s";
    told = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

}  // namespace

RunLock::RunLock(const fs::path& folder, dist::Communicator& world, double patience_s) {
  const fs::path path = folder / kRunLockFile;
  const int rank = world.rank();
  bool supported = true;
  if (rank == 0) {
    const dist::Busy busy(world, "waiting for the run's lock");
    file_ = open_lock_file(path, true);
    supported = take_all(file_, path, patience_s) == LockOutcome::kDone;
    LOG_IF(WARNING, !supported) << path.string() << ": this file system has no locks; take care "
                                << "that no other job uses " << folder.string();
    sign_lock(file_, "the job", path);
    if (supported) release_lock(file_, {.begin = 1, .count = 0}, path);
  }
  supported = world.max(supported ? 0.0 : 1.0) == 0;
  if (rank == 0 || !supported) return;
  file_ = open_lock_file(path, false);  // the first rank has made it
  if (take_lock(file_, {.begin = rank, .count = 1}, path) == LockOutcome::kHeldByOther) {
    throw core::Error(message(path.string(), ": rank ", rank, "'s place is taken"));
  }
}

}  // namespace longhaul::launch
