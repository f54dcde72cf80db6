// Busy ranks (dist/communicator.h): work that takes several times as long as the time limit.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <vector>

#include "tests/support/rank_case.h"

namespace longhaul::test {

/// Questions and answers of MPI ranks take some tenths of a second.
inline constexpr double kBusyTimeLimit = 0.7;

inline void work_for_long() { std::this_thread::sleep_for(std::chrono::milliseconds(1600)); }

inline void others_wait_for_a_busy_rank(dist::Communicator& group) {
  if (group.rank() == 0) {
    const dist::Busy busy(group, "writing the model");
    work_for_long();
  }
  EXPECT_EQ(group.sum(1.0), group.size());
}

inline void busy_phases_nest(dist::Communicator& group) {
  {
    const dist::Busy outer(group, "evaluating");
    if (group.rank() + 1 == group.size()) {
      { const dist::Busy inner(group, "writing"); }
      work_for_long();
    }
    group.barrier();
  }
  group.barrier();
}

/// All are, one after the other is waited for.
inline void a_busy_rank_may_communicate(dist::Communicator& group) {
  const dist::Busy busy(group, "evaluating");
  for (int round = 0; round < 2; ++round) {
    if (group.rank() == round % group.size()) work_for_long();
    EXPECT_EQ(group.sum(1.0), group.size());
  }
}

inline void a_part_of_the_world_may_be_busy(dist::Communicator& group) {
  const auto part = group.split(0, group.rank());
  if (part->rank() == 0) {
    const dist::Busy busy(*part, "writing");
    work_for_long();
  }
  part->barrier();
}

inline std::vector<RankCase> busy_contract() {
  return {{"others_wait_for_a_busy_rank", others_wait_for_a_busy_rank},
          {"busy_phases_nest", busy_phases_nest},
          {"a_busy_rank_may_communicate", a_busy_rank_may_communicate},
          {"a_part_of_the_world_may_be_busy", a_part_of_the_world_may_be_busy}};
}

}  // namespace longhaul::test
