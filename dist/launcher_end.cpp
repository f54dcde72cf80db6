#include "dist/launcher_end.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <fstream>
#include <string>
#include <string_view>

namespace longhaul::dist {

namespace {

constexpr std::array<std::string_view, 5> kLaunchers{"mpirun", "mpiexec", "orterun", "orted",
                                                     "prterun"};

constexpr int kPatienceMs = 10'000;  // that mpirun has for ending an aborted job

bool is_launcher(pid_t process) {
  std::string name;
  std::getline(std::ifstream("/proc/" + std::to_string(process) + "/comm"), name);
  // "mpirun.openmpi" is one too.
  return std::find(kLaunchers.begin(), kLaunchers.end(), name.substr(0, name.find('.'))) !=
         kLaunchers.end();
}

/// Nothing that this rank had open, and perhaps locked, must outlive it.
void close_all_but(int kept) {
  dup2(kept, 0);
  if (syscall(SYS_close_range, 1, ~0U, 0) == 0) return;
  for (int file = static_cast<int>(sysconf(_SC_OPEN_MAX)) - 1; file > 0; --file) close(file);
}

/// Between fork and _exit: only what a child of a process with threads may call.
void end_unless_it_ends(int process) {
  setsid();  // mpirun ends the ranks by their process groups
  close_all_but(process);
  pollfd ended{.fd = 0, .events = POLLIN, .revents = 0};
  if (poll(&ended, 1, kPatienceMs) != 0) return;
  syscall(SYS_pidfd_send_signal, 0, SIGKILL, nullptr, 0);  // SIGTERM would only repeat the abort
}

}  // namespace

void end_launcher_later() {
  const pid_t parent = getppid();
  if (!is_launcher(parent)) return;
  const int process = static_cast<int>(syscall(SYS_pidfd_open, parent, 0));
  if (process < 0) return;
  if (fork() == 0) {
    end_unless_it_ends(process);
    _exit(0);
  }
  close(process);
}

}  // namespace longhaul::dist
