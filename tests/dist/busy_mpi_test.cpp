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

}  // namespace
}  // namespace longhaul::test

int main(int argc, char** argv) {
  using namespace longhaul::test;
  std::vector<RankCase> cases = liveness_contract();
  for (const RankCase& each : busy_contract()) cases.push_back(each);
  cases.push_back(
      {"who_waits_in_something_else_is_told_first", who_waits_in_something_else_is_told_first});
  return run_mpi_tests(argc, argv, "Mpi", cases, kBusyTimeLimit);
}
