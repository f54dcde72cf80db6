#include "tests/dist/busy_contract.h"
#include "tests/support/mpi_main.h"

int main(int argc, char** argv) {
  return longhaul::test::run_mpi_tests(argc, argv, "Mpi", longhaul::test::busy_contract(),
                                       longhaul::test::kBusyTimeLimit);
}
