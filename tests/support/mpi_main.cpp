#include "tests/support/mpi_main.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "dist/mpi_communicator.h"

namespace longhaul::test {

namespace {

class MpiTest : public ::testing::Test {
 public:
  MpiTest(dist::Communicator& world, const RankCase& rank_case) : world_(world), case_(rank_case) {}

  void TestBody() override {
    case_.body(world_);
    const bool failed = HasFailure();
    if (world_.max(failed ? 1.0 : 0.0) > 0 && !failed) ADD_FAILURE() << "failed on another rank";
  }

 private:
  dist::Communicator& world_;
  const RankCase& case_;
};

/// Says on which rank a failure was, and ends the job where the other ranks would wait for this
/// one.
class FailureListener final : public ::testing::EmptyTestEventListener {
 public:
  explicit FailureListener(dist::MpiSession& session) : session_(session) {}

  void OnTestPartResult(const ::testing::TestPartResult& result) override {
    if (!result.failed()) return;
    std::fprintf(stderr, "rank %d: %s:%d: %s\n", session_.world().rank(),
                 result.file_name() ? result.file_name() : "?", result.line_number(),
                 result.message());
    if (result.fatally_failed()) session_.abort(1);
  }

 private:
  dist::MpiSession& session_;
};

int expected_ranks(int argc, char** argv) {
  const std::string flag = "--expect-ranks=";
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument.rfind(flag, 0) == 0) return std::atoi(argument.c_str() + flag.size());
  }
  return 0;
}

}  // namespace

int run_mpi_tests(int argc, char** argv, const char* suite, const std::vector<RankCase>& cases,
                  double time_limit_s) {
  // Small pieces, so that splitting of messages is exercised.
  dist::MpiSession session(&argc, &argv,
                           {.time_limit_s = time_limit_s, .largest_message_bytes = 1 << 16});
  dist::Communicator& world = session.world();
  ::testing::InitGoogleTest(&argc, argv);
  const int expected = expected_ranks(argc, argv);
  if (expected != 0 && expected != world.size()) {
    std::fprintf(stderr, "%d ranks were expected, the world has %d\n", expected, world.size());
    return 1;
  }
  GTEST_FLAG_SET(catch_exceptions, false);
  auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
  if (world.rank() != 0) delete listeners.Release(listeners.default_result_printer());
  listeners.Append(new FailureListener(session));
  for (const RankCase& rank_case : cases) {
    ::testing::RegisterTest(
        suite, rank_case.name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
        [&world, &rank_case]() -> ::testing::Test* { return new MpiTest(world, rank_case); });
  }
  return world.max(RUN_ALL_TESTS()) > 0 ? 1 : 0;
}

}  // namespace longhaul::test
