// Runs arms of a sweep as programs of their own, as many at once as fit.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "launch/sweep/child_processes.h"
#include "launch/sweep/standing.h"

namespace longhaul::launch {

/// Bytes that all ranks of an arm take together at the highest, in training or in one of its
/// measures; of the arm that needs most. InputError as arms_at_once.
int64_t arm_memory(const SweepConfig& sweep, const ArmList& list);

/// How many arms this machine takes at once: sweep.at_once, or as many as have processors (ranks ·
/// threads) or GPUs (one a rank), and memory; at least one. Opens every arm's data and model
/// on the way: InputError naming the arm where one does not suit.
int64_t arms_at_once(const SweepConfig& sweep, const ArmList& list);

class ArmPool {
 public:
  ArmPool(const SweepConfig& sweep, int64_t at_once);

  /// Runs all, in this order; an arm that comes to the end of its training goes on with its
  /// measures; one that fails goes to the end of the order until it has failed too often.
  /// Tells on standard output what begins and ends. False if a signal came: SIGTERM, SIGINT,
  /// SIGUSR1 or SIGHUP has the arms save and end; a second one kills them, but for SIGHUP, which a
  /// shell and the kernel both send. So does an arm that comes to its
  /// goal without the sweep's metric: InputError once the others have saved.
  bool run(const std::vector<Target>& targets);

 private:
  struct Running {
    Target target;
    int64_t slot = 0;  ///< place on this machine
    int64_t mark = 0;  ///< of how far it was when it began
  };
  void start_next();
  void take_signal(int signal);
  void take_end(const ChildProcesses::Event& event);
  void take_goal(const Running& ended, const ArmProgress& progress);
  /// `is_final`: it is not tried again.
  void count_failure(const Running& ended, const std::string& failure, bool is_final);

  const SweepConfig& sweep_;
  std::vector<std::string> gpus_;  ///< as CUDA_VISIBLE_DEVICES names them
  std::set<int64_t> free_slots_;
  std::deque<Target> waiting_;
  std::map<pid_t, Running> running_;
  int signals_ = 0;
  std::string problem_;  ///< that ends the whole sweep
  ChildProcesses children_;
};

}  // namespace longhaul::launch
