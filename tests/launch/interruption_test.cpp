// Signals against a process that computes.
#include "launch/interruption.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "kernels/core/error.h"
#include "kernels/linear/gemm_cpu.h"
#include "launch/model_conversion.h"

namespace longhaul::launch {
namespace {

constexpr int64_t kSize = 512;

/// C = A · B of ones; whether every element is right.
bool multiplies(core::Context& context) {
  const std::vector<float> ones(kSize * kSize, 1.0F);
  std::vector<float> c(ones.size());
  kernels::cpu::Gemm<float> product;
  product.m = product.n = product.k = kSize;
  product.a = product.b = ones.data();
  product.lda = product.ldb = product.ldc = kSize;
  product.c = c.data();
  kernels::cpu::gemm(context, product);
  return c == std::vector<float>(c.size(), static_cast<float>(kSize));
}

/// Exit code 0 if a hail of signals left products, flag and heap as they must be.
[[noreturn]] void compute_under_signals(int threads) {
  catch_interruptions();
  core::Context context({}, threads);
  if (!multiplies(context)) std::_Exit(1);  // its threads are there before the first signal
  if (interrupted()) std::_Exit(2);
  std::thread hail([] {
    for (int i = 0; i < 500; ++i) {
      ::kill(::getpid(), SIGUSR1);
      ::usleep(100);
    }
  });
  for (int i = 0; i < 10; ++i) {
    if (!multiplies(context)) std::_Exit(3);
  }
  hail.join();
  std::_Exit(interrupted() ? 0 : 4);
}

class Interruption : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(Interruption, DoesNotTouchThreadsThatCompute) {
  EXPECT_EXIT(compute_under_signals(1), ::testing::ExitedWithCode(0), "");
  EXPECT_EXIT(compute_under_signals(3), ::testing::ExitedWithCode(0), "");
}

/// Exit code 0 if it outlives two of `signal`, so many seconds apart.
[[noreturn]] void take_two(int signal, unsigned seconds) {
  catch_interruptions();
  ::kill(::getpid(), signal);
  while (!interrupted()) ::usleep(1000);
  if (seconds > 0) ::sleep(seconds);
  ::kill(::getpid(), signal);
  ::sleep(1);
  std::_Exit(0);
}

TEST_F(Interruption, OneThatComesAgainLaterEndsTheProcess) {
  EXPECT_EXIT(take_two(SIGTERM, 3), ::testing::KilledBySignal(SIGTERM), "");
  EXPECT_EXIT(take_two(SIGINT, 3), ::testing::KilledBySignal(SIGINT), "");
  EXPECT_EXIT(take_two(SIGUSR1, 3), ::testing::ExitedWithCode(0), "");
}

/// Exit code 0 if `signal` interrupts, 3 if it does not.
[[noreturn]] void take_one(int signal, bool is_ignored) {
  if (is_ignored) ::signal(signal, SIG_IGN);
  catch_interruptions();
  ::kill(::getpid(), signal);
  for (int i = 0; i < 100 && !interrupted(); ++i) ::usleep(1000);
  std::_Exit(interrupted() ? 0 : 3);
}

TEST_F(Interruption, WhatIsIgnoredStaysSo) {
  for (const int signal : {SIGHUP, SIGTERM, SIGINT, SIGUSR1}) {
    EXPECT_EXIT(take_one(signal, false), ::testing::ExitedWithCode(0), "") << signal;
    EXPECT_EXIT(take_one(signal, true), ::testing::ExitedWithCode(3), "") << signal;
  }
}

/// Exit code 0 if the next piece of a conversion is an error that tells of the signal.
[[noreturn]] void convert_under(int signal) {
  ConversionProgress progress("export", {}, std::nullopt);
  progress(1);
  ::kill(::getpid(), signal);
  for (int i = 0; i < 100 && !interrupted(); ++i) ::usleep(1000);
  try {
    progress(1);
  } catch (const core::Error& error) {
    std::_Exit(std::string(error.what()) == "export: interrupted; nothing was written" ? 0 : 4);
  }
  std::_Exit(3);
}

TEST_F(Interruption, EndsAConversion) {
  for (const int signal : {SIGHUP, SIGTERM, SIGINT, SIGUSR1})
    EXPECT_EXIT(convert_under(signal), ::testing::ExitedWithCode(0), "") << signal;
}

TEST_F(Interruption, OneSentTwiceIsOne) {
  EXPECT_EXIT(take_two(SIGTERM, 0), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace longhaul::launch
