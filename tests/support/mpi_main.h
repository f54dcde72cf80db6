// main of a test program that runs under mpiexec.
#pragma once

#include <vector>

#include "tests/support/rank_case.h"

namespace longhaul::test {

/// Runs every case on all ranks, as tests of `suite`. Rank 0 prints. A failure on one rank fails
/// the case on all; a fatal one (ASSERT, exception) ends the job at once, for the others would
/// wait. --expect-ranks=N fails the program unless the world has N ranks: a test of many ranks must
/// not pass on one. A hang is reported well before CTest's own limit.
int run_mpi_tests(int argc, char** argv, const char* suite, const std::vector<RankCase>& cases,
                  double time_limit_s = 30);

}  // namespace longhaul::test
