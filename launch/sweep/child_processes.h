// Programs that this one starts and waits for, and the signals that come meanwhile.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace longhaul::launch {

struct ChildCommand {
  std::vector<std::string> words;  ///< program, found in PATH, and its arguments
  std::vector<std::pair<std::string, std::string>> environment;  ///< beside this program's
  std::filesystem::path log;                                     ///< stdout and stderr, appended
};

/// While it lives, SIGTERM, SIGINT, SIGUSR1 and SIGHUP, unless they are ignored, reach this program
/// as events. One at a time, and from a program of one thread.
class ChildProcesses {
 public:
  ChildProcesses();
  /// Kills what still runs.
  ~ChildProcesses();
  ChildProcesses(const ChildProcesses&) = delete;
  ChildProcesses& operator=(const ChildProcesses&) = delete;

  /// In a process group of its own, so that the terminal's Ctrl-C reaches this program alone; gets
  /// SIGTERM when this program dies. core::Error if it cannot be started.
  pid_t start(const ChildCommand& command);

  struct Event {
    pid_t child = 0;  ///< that ended; 0: a signal came
    int status = 0;   ///< as of waitpid
    int signal = 0;   ///< that came
  };
  /// Waits for the next one; at least one child must run.
  Event wait();

  /// To every child (not to its children).
  void signal_all(int signal) const;
  /// SIGKILL to every child's process group.
  void kill_all() const;

 private:
  std::set<pid_t> running_;
  sigset_t caught_{}, before_{};
};

}  // namespace longhaul::launch
