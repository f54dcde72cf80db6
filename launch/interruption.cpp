#include "launch/interruption.h"

#include <csignal>

namespace longhaul::launch {

namespace {

// A handler can reach nothing but a global.
volatile std::sig_atomic_t signal_came = 0;

void note_signal(int) { signal_came = 1; }

}  // namespace

void catch_interruptions() {
  struct sigaction action = {};
  action.sa_handler = note_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGUSR1, &action, nullptr);
  action.sa_flags = static_cast<int>(SA_RESTART | SA_RESETHAND);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return signal_came != 0; }

}  // namespace longhaul::launch
