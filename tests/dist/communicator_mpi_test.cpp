#include "tests/dist/communicator_contract.h"
#include "tests/dist/exchange_contract.h"
#include "tests/dist/halo_contract.h"
#include "tests/dist/reducer_contract.h"
#include "tests/support/mpi_main.h"

int main(int argc, char** argv) {
  using longhaul::test::RankCase;
  std::vector<RankCase> cases;
  for (const auto& suite : {longhaul::test::communicator_contract(),
                            longhaul::test::message_contract(), longhaul::test::exchange_contract(),
                            longhaul::test::halo_contract(), longhaul::test::reducer_contract()}) {
    cases.insert(cases.end(), suite.begin(), suite.end());
  }
  return longhaul::test::run_mpi_tests(argc, argv, "Mpi", cases);
}
