// A sweep on this machine.
#pragma once

#include <string>

#include "kernels/core/file_descriptor.h"
#include "launch/sweep/arms.h"

namespace longhaul::launch {

/// InputError if the folder holds something else than a sweep; nothing is written.
void check_sweep_folder(const SweepConfig& sweep);

/// FOLDER/.lock. A sweep holds all of it; a job that runs one arm holds that arm's byte.
class SweepLock {
 public:
  /// Makes the folder if there is none. InputError if it holds something else than a sweep, or if
  /// another job has this place. `arm`: "" for the whole sweep.
  SweepLock(const SweepConfig& sweep, const std::string& arm);

 private:
  core::FileDescriptor file_;
};

/// Does what is missing: begins arms, goes on with those that were interrupted, and ends recipes by
/// successive halving. Returns the exit code: kDone, or kInterrupted once a signal came and all
/// arms have saved. core::Error, with the last lines of their logs, if arms failed too often.
int run_sweep(const SweepConfig& sweep, const ArmList& list);

/// The same for the one arm of this name (a task of a job array), up to where halving would compare
/// it. InputError if there is no such arm.
int run_arm(const SweepConfig& sweep, const ArmList& list, const std::string& name);

/// Forgets the failures of all arms, so that they are tried again.
void forget_failures(const SweepConfig& sweep, const ArmList& list);

}  // namespace longhaul::launch
