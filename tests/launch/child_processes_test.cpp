// Signals that come to a program while it waits for others.
#include "launch/sweep/child_processes.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

namespace longhaul::launch {
namespace {

/// Exit code 0 if the signal is what wait() tells of, 3 if it is the end of the child, which the
/// signal does not reach.
[[noreturn]] void wait_under(int signal, bool is_ignored) {
  ::signal(signal, is_ignored ? SIG_IGN : SIG_DFL);
  ChildProcesses children;
  children.start({.words = {"sleep", "0.2"}, .environment = {}, .log = "/dev/null"});
  ::kill(::getpid(), signal);
  const ChildProcesses::Event event = children.wait();
  std::_Exit(event.child == 0 && event.signal == signal ? 0 : 3);
}

TEST(ChildProcesses, SignalsAreEventsUnlessTheyAreIgnored) {
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1, SIGHUP}) {
    EXPECT_EXIT(wait_under(signal, false), ::testing::ExitedWithCode(0), "") << signal;
    EXPECT_EXIT(wait_under(signal, true), ::testing::ExitedWithCode(3), "") << signal;
  }
}

}  // namespace
}  // namespace longhaul::launch
