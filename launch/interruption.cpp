#include "launch/interruption.h"

#include <unistd.h>

#include <csignal>
#include <system_error>
#include <thread>

#include "kernels/core/error.h"

namespace longhaul::launch {

namespace {

// A handler can reach nothing but a global.
volatile std::sig_atomic_t signal_came = 0;

void note_signal(int) { signal_came = 1; }

sigset_t interruptions() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGTERM);
  return set;
}

/// On the calling thread, and on those that it starts from now on.
void mask_interruptions(int how) {
  const sigset_t set = interruptions();
  pthread_sigmask(how, &set, nullptr);
}

}  // namespace

void catch_interruptions() {
  struct sigaction action = {};
  action.sa_handler = note_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGUSR1, &action, nullptr);
  action.sa_flags = static_cast<int>(SA_RESTART | SA_RESETHAND);
  sigaction(SIGTERM, &action, nullptr);
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

bool interrupted() { return signal_came != 0; }

}  // namespace longhaul::launch
