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

/// Whether the arm's place is held: it may run (also: a sweep that runs other arms meanwhile).
bool is_arm_running(const SweepConfig& sweep, const std::string& arm);

/// InputError listing the measures that cannot be taken of some arm (check_measure).
void check_measures(const SweepConfig& sweep, const ArmList& list);

/// Does what is missing: begins arms, goes on with those that were interrupted, takes measures of
/// those that are trained, and ends recipes by successive halving. Returns the exit code: kDone, or
/// kInterrupted once a signal came and all arms have saved. core::Error, with the last lines of
/// their logs, if arms failed too often.
int run_sweep(const SweepConfig& sweep, const ArmList& list);

/// The same for the one arm of this name (a task of a job array), up to where halving would compare
/// it. InputError if there is no such arm.
int run_arm(const SweepConfig& sweep, const ArmList& list, const std::string& name);

/// Forgets the failures of all arms, so that they are tried again.
void forget_failures(const SweepConfig& sweep, const ArmList& list);

}  // namespace longhaul::launch
