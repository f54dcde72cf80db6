// Liveness (dist/communicator.h): what ranks that wait elsewhere than in messages say of each
// other.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/rank_case.h"

namespace longhaul::test {

using dist::Liveness;
using ::testing::HasSubstr;

/// What rank 0 finds while the others do `other`, again and again.
template <class Other>
std::optional<Liveness::Findings> found_by_first(dist::Communicator& group, const Other& other) {
  using Clock = std::chrono::steady_clock;
  // The others go on until the first has certainly looked.
  const auto time = std::chrono::milliseconds(group.rank() == 0 ? 600 : 1000);
  group.barrier();
  Liveness& liveness = *group.liveness();
  if (group.rank() == 0) liveness.ask("the first's own");
  for (const auto start = Clock::now(); Clock::now() - start < time;) {
    group.rank() == 0 ? liveness.answer("the first's own", true) : other(liveness);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  auto found = group.rank() == 0 ? liveness.findings() : std::nullopt;
  liveness.answer("the end", false);
  group.barrier();
  if (group.rank() == 0) {
    EXPECT_TRUE(found) << "it had not ended";
  }
  return found;
}

inline void ranks_that_wait_elsewhere_say_in_what(dist::Communicator& group) {
  const dist::Busy busy(group, "evaluating");  // which does not count where a rank waits
  const std::string own = "kernel " + std::to_string(group.rank());
  const auto found = found_by_first(group, [&](Liveness& liveness) { liveness.answer(own, true); });
  if (!found) return;
  EXPECT_EQ(found->busy, "");
  for (int rank = 1; rank < group.size(); ++rank) {
    EXPECT_THAT(found->text, HasSubstr("waits in kernel " + std::to_string(rank)));
  }
}

inline void a_busy_rank_that_waits_for_nobody_says_so(dist::Communicator& group) {
  std::optional<dist::Busy> busy;
  if (group.rank() == 1) busy.emplace(group, "writing the model");
  const auto found =
      found_by_first(group, [&](Liveness& liveness) { liveness.answer("a loop", false); });
  if (!found) return;
  EXPECT_THAT(found->busy, HasSubstr("rank 1"));
  EXPECT_THAT(found->busy, HasSubstr("writing the model"));
}

inline void a_rank_that_says_nothing_is_named(dist::Communicator& group) {
  const int silent = group.size() - 1;
  const auto found = found_by_first(group, [&](Liveness& liveness) {
    if (group.rank() != silent) liveness.answer("a loop", true);
  });
  if (!found) return;
  EXPECT_THAT(found->text, HasSubstr("no answer from rank " + std::to_string(silent)));
  EXPECT_EQ(found->busy, "");
}

inline std::vector<RankCase> liveness_contract() {
  return {{"ranks_that_wait_elsewhere_say_in_what", ranks_that_wait_elsewhere_say_in_what},
          {"a_busy_rank_that_waits_for_nobody_says_so", a_busy_rank_that_waits_for_nobody_says_so},
          {"a_rank_that_says_nothing_is_named", a_rank_that_says_nothing_is_named}};
}

}  // namespace longhaul::test
