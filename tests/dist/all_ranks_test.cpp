#include "dist/all_ranks.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <array>
#include <chrono>
#include <new>
#include <string>
#include <thread>

#include "dist/thread_communicator.h"
#include "kernels/core/error.h"

namespace longhaul::dist {
namespace {

/// What every rank ends with: "input: …", "error: …" or "".
std::string ending_of(Communicator& world, const std::function<void()>& work) {
  try {
    on_all_ranks(world, "working", work);
  } catch (const core::InputError& error) {
    return std::string("input: ") + error.what();
  } catch (const core::Error& error) {
    return std::string("error: ") + error.what();
  }
  return "";
}

/// What stands before a message of that rank.
std::string place(int rank) {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  return "error: rank " + std::to_string(rank) + " (host " + host.data() + "): ";
}

TEST(OnAllRanks, AllGoOnWhereNoneFails) {
  run_thread_ranks(3, [](Communicator& world) { EXPECT_EQ(ending_of(world, [] {}), ""); });
}

TEST(OnAllRanks, OneFailureIsEverybodys) {
  for (int failing = 0; failing < 3; ++failing) {
    run_thread_ranks(3, [&](Communicator& world) {
      const auto fail = [&](const auto& error) {
        return [&] {
          if (world.rank() == failing) throw error;
        };
      };
      EXPECT_EQ(ending_of(world, fail(core::InputError("bad file"))), "input: bad file");
      EXPECT_EQ(ending_of(world, fail(core::Error("disk full"))), place(failing) + "disk full");
      EXPECT_EQ(ending_of(world, fail(std::runtime_error("other"))), place(failing) + "other");
      EXPECT_EQ(ending_of(world, fail(std::bad_alloc())), place(failing) + "out of memory");
      EXPECT_EQ(ending_of(world, [] {}), "");
    });
  }
}

TEST(OnAllRanks, TheFirstOfSeveralFailuresIsTold) {
  run_thread_ranks(4, [](Communicator& world) {
    const std::string ending = ending_of(world, [&] {
      if (world.rank() > 0) throw core::Error("rank " + std::to_string(world.rank()));
    });
    EXPECT_EQ(ending, place(1) + "rank 1");
  });
}

TEST(OnAllRanks, MayTakeLongerThanTheTimeLimit) {
  const auto body = [](Communicator& world) {
    on_all_ranks(world, "writing", [&] {
      if (world.rank() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(700));
    });
  };
  run_thread_ranks(3, body, 0.2);
}

}  // namespace
}  // namespace longhaul::dist
