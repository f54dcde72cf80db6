#include "tests/dist/busy_contract.h"
#include "tests/dist/liveness_contract.h"
#include "tests/support/mpi_main.h"

int main(int argc, char** argv) {
  using namespace longhaul::test;
  std::vector<RankCase> cases = liveness_contract();
  for (const RankCase& each : busy_contract()) cases.push_back(each);
  return run_mpi_tests(argc, argv, "Mpi", cases, kBusyTimeLimit);
}
