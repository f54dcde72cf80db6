#include "launch/sweep/child_processes.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "kernels/core/error.h"
#include "kernels/core/file_descriptor.h"

namespace longhaul::launch {

namespace {

using core::message;

/// The child's side of start(): only calls that are safe after fork. Does not return.
struct Launch {
  char* const* arguments;
  int input, log, failure;
  pid_t parent;
  const sigset_t* signals;

  [[noreturn]] void run() const {
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent) ::_exit(127);  // died before the call above
    ::sigprocmask(SIG_SETMASK, signals, nullptr);
    if (::dup2(input, STDIN_FILENO) >= 0 && ::dup2(log, STDOUT_FILENO) >= 0 &&
        ::dup2(log, STDERR_FILENO) >= 0) {
      ::execvp(arguments[0], arguments);
    }
    const int code = errno;
    if (::write(failure, &code, sizeof code) < 0) ::_exit(126);
    ::_exit(127);
  }
};

}  // namespace

ChildProcesses::ChildProcesses() {
  sigemptyset(&caught_);
  sigaddset(&caught_, SIGCHLD);
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1, SIGHUP}) {
    struct sigaction action = {};
    ::sigaction(signal, nullptr, &action);
    // SIGINT by jobs in the background, SIGHUP by nohup: once blocked it would come all the same.
    if (action.sa_handler != SIG_IGN) sigaddset(&caught_, signal);
  }
  ::sigprocmask(SIG_BLOCK, &caught_, &before_);
}

ChildProcesses::~ChildProcesses() {
  kill_all();
  for (const pid_t child : running_) ::waitpid(child, nullptr, 0);
  ::sigprocmask(SIG_SETMASK, &before_, nullptr);
}

pid_t ChildProcesses::start(const ChildCommand& command) {
  const auto opened = [](const std::filesystem::path& path, int flags) {
    core::FileDescriptor file(::open(path.c_str(), flags | O_CLOEXEC, 0666));
    if (!file) {
      throw core::Error(message(path.string(), ": cannot be opened: ", std::strerror(errno)));
    }
    return file;
  };
  const auto log = opened(command.log, O_WRONLY | O_CREAT | O_APPEND);
  const auto input = opened("/dev/null", O_RDONLY);
  std::vector<std::string> words = command.words;
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    throw core::Error(message("no pipe for ", words[0], ": ", std::strerror(errno)));
  }
  const core::FileDescriptor reading(ends[0]);
  core::FileDescriptor writing(ends[1]);
  // Set here, taken over by the child: setenv is not safe after fork.
  for (const auto& [name, value] : command.environment) ::setenv(name.c_str(), value.c_str(), 1);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0)
    throw core::Error(message("no process for ", words[0], ": ", std::strerror(errno)));
  if (child == 0) {
    Launch{.arguments = arguments.data(),
           .input = input.get(),
           .log = log.get(),
           .failure = writing.get(),
           .parent = parent,
           .signals = &before_}
        .run();
  }
  ::setpgid(child, child);  // whoever comes first; it must be there before a signal is sent
  writing = core::FileDescriptor();
  int code = 0;
  if (::read(reading.get(), &code, sizeof code) > 0) {
    ::waitpid(child, nullptr, 0);
    throw core::Error(message(words[0], ": cannot be started: ", std::strerror(code)));
  }
  running_.insert(child);
  return child;
}

ChildProcesses::Event ChildProcesses::wait() {
  while (true) {
    for (const pid_t child : running_) {
      Event event;
      if (::waitpid(child, &event.status, WNOHANG) != child) continue;
      event.child = child;
      running_.erase(child);
      return event;
    }
    const int signal = ::sigwaitinfo(&caught_, nullptr);
    if (signal > 0 && signal != SIGCHLD) return {.signal = signal};
  }
}

void ChildProcesses::signal_all(int signal) const {
  for (const pid_t child : running_) ::kill(child, signal);
}

void ChildProcesses::kill_all() const {
  for (const pid_t child : running_) {
    ::kill(-child, SIGKILL);
    ::kill(child, SIGKILL);
  }
}

}  // namespace longhaul::launch
