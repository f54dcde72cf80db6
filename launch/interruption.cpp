#include "launch/interruption.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <system_error>
#include <thread>

#include "kernels/core/error.h"

namespace longhaul::launch {

namespace {

constexpr std::array<int, 4> kInterruptions{SIGUSR1, SIGTERM, SIGINT, SIGHUP};

// A handler can reach nothing but globals that need no lock.
std::atomic<bool> signal_came = false;
std::atomic<int64_t> first_end = 0;  // of SIGTERM and SIGINT; milliseconds since the machine began
static_assert(std::atomic<int64_t>::is_always_lock_free);

void take_signal(int signal) {
  signal_came = true;
  if (signal == SIGUSR1 || signal == SIGHUP) return;  // the shell and the kernel both send SIGHUP
  constexpr int64_t kSame = 2000;
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  const int64_t now = int64_t{time.tv_sec} * 1000 + time.tv_nsec / 1'000'000;
  int64_t first = 0;
  if (first_end.compare_exchange_strong(first, now) || now - first < kSame) return;
  ::signal(signal, SIG_DFL);
  ::raise(signal);  // it is delivered when this returns
}

sigset_t all_interruptions() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : kInterruptions) sigaddset(&set, signal);
  return set;
}

/// On the calling thread, and on those that it starts from now on.
void mask_interruptions(int how) {
  const sigset_t set = all_interruptions();
  pthread_sigmask(how, &set, nullptr);
}

}  // namespace

void catch_interruptions() {
  for (const int signal : kInterruptions) {
    struct sigaction action = {};
    sigaction(signal, nullptr, &action);
    if (action.sa_handler == SIG_IGN)
      continue;  // SIGINT by jobs in the background, SIGHUP by nohup
    action.sa_handler = take_signal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(signal, &action, nullptr);
  }
  // oneDNN's generated code takes its workspace for a stack (rsp points into the heap), and what
  // the kernel pushes there for a handler lands on the heap's bookkeeping. So no thread that
  // computes takes these signals; one that only waits does.
  mask_interruptions(SIG_BLOCK);
  try {
    std::thread([] {
      mask_interruptions(SIG_UNBLOCK);
      for (;;) ::pause();
    }).detach();
  } catch (const std::system_error& error) {
    throw core::Error(core::message("no thread for signals: ", error.what()));
  }
}

bool interrupted() { return signal_came; }

void outlive_readers() { ::signal(SIGPIPE, SIG_IGN); }

}  // namespace longhaul::launch
