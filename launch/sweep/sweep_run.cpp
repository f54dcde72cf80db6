#include "launch/sweep/sweep_run.h"

#include <glog/logging.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <vector>

#include "kernels/core/error.h"
#include "launch/command.h"
#include "launch/file_lock.h"
#include "launch/sweep/arm_pool.h"
#include "launch/sweep/standing.h"
#include "trainer/crc32c.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;
using core::InputError;
using core::message;

constexpr const char* kLockFile = ".lock";

LockRange place_of(const std::string& arm) {
  if (arm.empty()) return {};
  // Past the holder's line; two arms in one place would only wait for each other.
  return {.begin = 4096 + int64_t{trainer::crc32c(arm.data(), arm.size())}, .count = 1};
}

/// One line, then for every failed arm how it ended and the end of its log.
void report_failures(const SweepConfig& sweep, const std::vector<const Arm*>& failed, size_t arms) {
  if (failed.empty()) return;
  std::string text = message(failed.size(), " of ", arms, arms == 1 ? " arm" : " arms", " failed");
  for (const Arm* arm : failed) {
    const ArmRecord record = read_arm_record(record_file(sweep, arm->name));
    std::string how =
        (record.failures == 1 ? "once: " : message(record.failures, " times, last: ")) +
        record.failure;
    for (const GivenUp& one : record.given_up) {
      if (one.name != record.failed_measure) how += ", and " + one.failure;
    }
    text +=
        message("\narm ", arm->name, ": failed ", how, "; ", log_file(sweep, arm->name).string());
    for (const std::string& line : last_log_lines(sweep, arm->name)) text += "\n  " + line;
  }
  throw core::Error(text);
}

}  // namespace

void check_sweep_folder(const SweepConfig& sweep) {
  const fs::path folder = sweep.folder;
  if (fs::exists(folder) && !fs::is_directory(folder)) {
    throw InputError(message("folder: ", folder.string(), " is a file, expected a folder"));
  }
  if (fs::exists(folder) && !fs::exists(folder / kLockFile) && !fs::is_empty(folder)) {
    throw InputError(message("folder: ", folder.string(),
                             " is there and holds no sweep, expected a new folder"));
  }
}

SweepLock::SweepLock(const SweepConfig& sweep, const std::string& arm) {
  check_sweep_folder(sweep);
  const fs::path folder = sweep.folder, path = folder / kLockFile;
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) throw core::Error(message(folder.string(), ": ", failed.message()));
  file_ = open_lock_file(path, true);
  const LockOutcome outcome = take_lock(file_, place_of(arm), path);
  if (outcome == LockOutcome::kHeldByOther) {
    throw InputError(message(folder.string(), ": ", lock_holder(file_),
                             " is running this sweep, expected it to end first"));
  }
  LOG_IF(WARNING, outcome == LockOutcome::kUnsupported)
      << path.string() << ": this file system has no locks; take care that no other sweep uses "
      << folder.string();
  sign_lock(file_, arm.empty() ? "the sweep" : "the arm " + arm, path);
}

bool is_arm_running(const SweepConfig& sweep, const std::string& arm) {
  return is_locked(fs::path(sweep.folder) / kLockFile, place_of(arm)).value_or(false);
}

void check_measures(const SweepConfig& sweep, const ArmList& list) {
  core::Problems problems;
  for (const MeasureConfig& measure : sweep.measures) {
    for (const Recipe& recipe : list.recipes) {
      try {
        check_measure(measure, recipe.arms.front().config);
      } catch (const InputError& error) {
        for (const std::string& problem : error.problems()) {
          const bool is_new =
              std::find(problems.begin(), problems.end(), problem) == problems.end();
          if (is_new) problems.push_back(problem);
        }
      }
    }
  }
  if (!problems.empty()) throw InputError(problems);
}

int run_sweep(const SweepConfig& sweep, const ArmList& list) {
  check_measures(sweep, list);
  const SweepLock lock(sweep, "");
  ArmPool pool(sweep, arms_at_once(sweep, list));
  Standing standing = read_standing(sweep, list);
  while (!standing.next.empty()) {
    if (!pool.run(standing.next)) {
      std::cout << "interrupted: start the sweep again to go on" << std::endl;
      return kInterrupted;
    }
    standing = read_standing(sweep, list);
  }
  std::vector<const Arm*> failed;
  size_t arms = 0;
  for (size_t i = 0; i < list.recipes.size(); ++i) {
    for (size_t j = 0; j < list.recipes[i].arms.size(); ++j, ++arms) {
      if (standing.arms[i][j].has_failed) failed.push_back(&list.recipes[i].arms[j]);
    }
  }
  report_failures(sweep, failed, arms);
  std::cout << "done: " << arms << (arms == 1 ? " arm" : " arms") << " in " << sweep.folder
            << std::endl;
  return kDone;
}

int run_arm(const SweepConfig& sweep, const ArmList& list, const std::string& name) {
  const Arm* arm = nullptr;
  for (const Recipe& recipe : list.recipes) {
    for (const Arm& candidate : recipe.arms) {
      if (candidate.name == name) arm = &candidate;
    }
  }
  if (arm == nullptr) throw InputError(message("--arm: found '", name, "', which is no arm"));
  const SweepLock lock(sweep, name);
  for (const Target& target : read_standing(sweep, list).next) {
    if (target.arm != arm) continue;
    ArmPool pool(sweep, 1);
    if (!pool.run({target})) return kInterrupted;
  }
  if (read_progress(sweep, *arm).has_failed) report_failures(sweep, {arm}, 1);
  return kDone;
}

void forget_failures(const SweepConfig& sweep, const ArmList& list) {
  const SweepLock lock(sweep, "");
  for (const Recipe& recipe : list.recipes) {
    for (const Arm& arm : recipe.arms) {
      const fs::path file = record_file(sweep, arm.name);
      if (!fs::exists(file)) continue;
      ArmRecord kept;
      kept.measured = read_arm_record(file).measured;
      write_arm_record(file, kept);
    }
  }
}

}  // namespace longhaul::launch
