#include "tests/dist/busy_contract.h"
#include "tests/dist/liveness_contract.h"
#include "tests/support/mpi_main.h"

namespace longhaul::test {
namespace {

/// Of four ranks or more: most wait in one operation, the last in another.
void who_waits_in_something_else_is_told_first(dist::Communicator& group) {
  const int last = group.size() - 1;
  const auto found = found_by_first(group, [&](Liveness& liveness) {
    liveness.answer(group.rank() == last ? "b, its own" : "a, as others", true);
  });
  if (!found || group.size() < 4) return;
  EXPECT_LT(found->text.find("waits in b, its own"), found->text.find("wait in a, as others"))
      << found->text;
}

constexpr auto kAWhile = std::chrono::milliseconds(200);

/// What a rank finds: the first asks, the others do while its question is open.
std::optional<dist::Liveness::Findings> found_after_the_first(dist::Communicator& group,
                                                              bool waits) {
  dist::Liveness& liveness = *group.liveness();
  const bool leads = group.rank() == 0;
  const auto answer_for_a_while = [&] {
    using Clock = std::chrono::steady_clock;
    for (const auto start = Clock::now(); Clock::now() - start < kAWhile;) {
      liveness.answer("a kernel", waits);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  };
  std::optional<dist::Liveness::Findings> found;
  group.barrier();
  if (leads) liveness.ask("its own");
  answer_for_a_while();
  if (!leads && waits) liveness.ask("its own");
  answer_for_a_while();
  if (leads) found = liveness.findings();
  answer_for_a_while();
  if (!leads && waits) found = liveness.findings();
  liveness.answer("the end", false);
  group.barrier();
  return found;
}

void who_was_asked_does_not_ask(dist::Communicator& group) {
  const auto found = found_after_the_first(group, true);
  EXPECT_EQ(found.has_value(), group.rank() == 0);
}

void who_asked_tells_all_that_it_goes_on(dist::Communicator& group) {
  const bool is_busy = group.rank() + 1 == group.size();
  std::optional<dist::Busy> busy;
  if (is_busy) busy.emplace(group, "writing");
  const auto found = found_after_the_first(group, !is_busy);
  if (is_busy) return;
  ASSERT_TRUE(found);
  EXPECT_NE(found->busy, "");
  EXPECT_EQ(found->others_tell, group.rank() > 0);
}

void higher_ranks_have_their_turn_later(dist::Communicator& group) {
  const double own = group.liveness()->turn_s();
  std::vector<double> turns(static_cast<size_t>(group.size()));
  group.all_gather({const_cast<double*>(&own), core::DType::kF64, {1}},
                   {turns.data(), core::DType::kF64, {group.size()}});
  EXPECT_EQ(turns[0], 0);
  for (size_t i = 1; i < turns.size(); ++i) EXPECT_GT(turns[i], turns[i - 1]);
  EXPECT_LE(group.liveness()->grace_s(), kBusyTimeLimit);
}

}  // namespace
}  // namespace longhaul::test

int main(int argc, char** argv) {
  using namespace longhaul::test;
  std::vector<RankCase> cases = liveness_contract();
  for (const RankCase& each : busy_contract()) cases.push_back(each);
  cases.push_back(
      {"who_waits_in_something_else_is_told_first", who_waits_in_something_else_is_told_first});
  cases.push_back({"who_was_asked_does_not_ask", who_was_asked_does_not_ask});
  cases.push_back({"who_asked_tells_all_that_it_goes_on", who_asked_tells_all_that_it_goes_on});
  cases.push_back({"higher_ranks_have_their_turn_later", higher_ranks_have_their_turn_later});
  return run_mpi_tests(argc, argv, "Mpi", cases, kBusyTimeLimit);
}
