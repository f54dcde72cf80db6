#include "eval/unit_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <iterator>
#include <mutex>
#include <numeric>

#include "dist/thread_communicator.h"
#include "kernels/core/error.h"
#include "tests/eval/scratch_folder.h"

namespace longhaul::eval {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kUnits = 7, kWidth = 3;

/// What unit u's number i is: not a round value in binary, so that a changed order of sums shows.
double number_of(int64_t unit, int64_t i) {
  return 1.0 / (3 + static_cast<double>(unit * kWidth + i));
}

struct Counted {
  std::mutex mutex;
  std::vector<int64_t> run;  // units, once for each batch that ran on a group's first rank
};

/// Each rank of a sequence group contributes its share of every number, piece by piece.
UnitJob job_of(const dist::Mesh& mesh, int64_t batch, Counted& counted, int64_t pieces = 2) {
  return {.units = kUnits,
          .width = kWidth,
          .batch = batch,
          .run = [&, pieces](int64_t first, int64_t count, std::span<double> numbers,
                             BatchWatch& watch) {
            for (int64_t piece = 1; piece <= pieces; ++piece) {
              watch.advance(static_cast<double>(piece) / static_cast<double>(pieces));
            }
            const double ranks = mesh.shape().sequence;
            for (int64_t i = 0; i < count * kWidth; ++i) {
              numbers[static_cast<size_t>(i)] += number_of(first + i / kWidth, i % kWidth) / ranks;
            }
            if (mesh.sequence_rank() > 0) return;
            const std::lock_guard lock(counted.mutex);
            for (int64_t i = 0; i < count; ++i) counted.run.push_back(first + i);
          }};
}

std::vector<double> expected_numbers() {
  std::vector<double> numbers;
  for (int64_t i = 0; i < kUnits * kWidth; ++i) {
    numbers.push_back(number_of(i / kWidth, i % kWidth));
  }
  return numbers;
}

/// Runs on all ranks; `interrupt` says, for each rank's how many-th question, whether to stop.
struct Attempt {
  bool interrupted = false;
  std::vector<double> numbers;
  std::vector<int64_t> units_run;
};
Attempt attempt(dist::MeshShape shape, int64_t batch, const Continuation& continuation,
                const std::function<bool(int rank, int asked)>& interrupt = nullptr) {
  Attempt result;
  Counted counted;
  std::mutex mutex;
  int cut = 0;
  dist::run_thread_ranks(
      shape.data * shape.sequence,
      [&](dist::Communicator& world) {
        const dist::Mesh mesh(world, shape);
        Continuation own = continuation;
        int asked = 0;
        if (interrupt) own.interrupted = [&] { return interrupt(world.rank(), asked++); };
        try {
          const auto numbers = run_units(mesh, job_of(mesh, batch, counted), own);
          const std::lock_guard lock(mutex);
          if (!result.numbers.empty()) {
            EXPECT_EQ(numbers, result.numbers);
          }
          result.numbers = numbers;
        } catch (const Interrupted&) {
          const std::lock_guard lock(mutex);
          ++cut;
        }
      },
      20);
  result.interrupted = cut > 0;
  if (cut > 0) {
    EXPECT_EQ(cut, shape.data * shape.sequence) << "not every rank was cut";
  }
  result.units_run = counted.run;
  std::sort(result.units_run.begin(), result.units_run.end());
  return result;
}

struct Way {
  std::string name;
  dist::MeshShape mesh;
  int64_t batch;
};
void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }

class UnitRunOnMesh : public ::testing::TestWithParam<Way> {
 protected:
  const Identity identity_{{"model", "7"}, {"length", "16"}};
};

TEST_P(UnitRunOnMesh, EveryUnitRunsOnceAndReachesEveryRank) {
  const Attempt found = attempt(GetParam().mesh, GetParam().batch, {});
  ASSERT_EQ(found.numbers.size(), static_cast<size_t>(kUnits * kWidth));
  const std::vector<double> expected = expected_numbers();
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(found.numbers[i], expected[i], 1e-15);
  std::vector<int64_t> all(kUnits);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(found.units_run, all);
}

TEST_P(UnitRunOnMesh, ContinuesWhereItWasCutWithTheSameBits) {
  const testing::ScratchFolder scratch;
  const auto whole = attempt(GetParam().mesh, GetParam().batch, {}).numbers;
  const Continuation kept{.file = scratch.path() / "x.partial", .identity = identity_};
  std::vector<int64_t> run;
  int cuts = 0;
  const int last = GetParam().mesh.data * GetParam().mesh.sequence - 1;
  for (;; ++cuts) {
    ASSERT_LT(cuts, 20);
    // The last rank alone is told, after a batch and a piece of the next.
    const Attempt part = attempt(GetParam().mesh, GetParam().batch, kept,
                                 [&](int rank, int asked) { return rank == last && asked == 3; });
    run.insert(run.end(), part.units_run.begin(), part.units_run.end());
    EXPECT_TRUE(std::filesystem::exists(kept.file));  // also of a whole run: its result may be lost
    if (part.interrupted) continue;
    EXPECT_EQ(part.numbers, whole);
    break;
  }
  std::sort(run.begin(), run.end());
  // No unit that was done ran again.
  EXPECT_EQ(std::unique(run.begin(), run.end()), run.end());
}

/// One rank of a group cannot read what the unit after the middle needs.
TEST_P(UnitRunOnMesh, WhatWasDoneIsKeptWhereDataCannotBeRead) {
  const testing::ScratchFolder scratch;
  const Continuation kept{.file = scratch.path() / "x.partial", .identity = identity_};
  const dist::MeshShape shape = GetParam().mesh;
  Counted counted;
  std::atomic<int> named = 0;
  dist::run_thread_ranks(
      shape.data * shape.sequence,
      [&](dist::Communicator& world) {
        const dist::Mesh mesh(world, shape);
        UnitJob job = job_of(mesh, GetParam().batch, counted);
        job.run = [&, run = job.run](int64_t first, int64_t count, std::span<double> numbers,
                                     BatchWatch& watch) {
          read_together(mesh.sequence_group(), [&] {
            const bool has_lost = first <= 4 && 4 < first + count;
            if (has_lost && mesh.sequence_rank() == shape.sequence - 1) {
              throw core::Error("tokens.bin: ends at byte 100");
            }
          });
          run(first, count, numbers, watch);
        };
        try {
          run_units(mesh, job, kept);
        } catch (const core::InputError&) {
          ADD_FAILURE() << "it failed while running";
        } catch (const core::Error& error) {
          EXPECT_THAT(error.what(), HasSubstr("what was measured so far is kept in"));
          named += std::string(error.what()).starts_with("tokens.bin: ends at byte 100; ");
        }
      },
      20);
  EXPECT_EQ(named, shape.data * shape.sequence) << "of all ranks";
  std::vector<int64_t> run = counted.run;
  EXPECT_FALSE(run.empty());
  const Attempt rest = attempt(shape, GetParam().batch, kept);
  EXPECT_EQ(rest.numbers, attempt(shape, GetParam().batch, {}).numbers);
  run.insert(run.end(), rest.units_run.begin(), rest.units_run.end());
  std::sort(run.begin(), run.end());
  EXPECT_EQ(std::unique(run.begin(), run.end()), run.end()) << "a unit that was done ran again";
}

INSTANTIATE_TEST_SUITE_P(Ways, UnitRunOnMesh,
                         ::testing::Values(Way{"Solo", {1, 1}, 1}, Way{"SoloBatches", {1, 1}, 3},
                                           Way{"TwoDataRanks", {2, 1}, 2},
                                           Way{"SequenceRanks", {1, 3}, 2},
                                           Way{"DataTimesSequence", {2, 2}, 1}),
                         [](const auto& test) { return test.param.name; });

TEST(UnitRun, MoreDataRanksThanUnits) {
  const Attempt found = attempt({9, 1}, 2, {});
  EXPECT_EQ(found.numbers, expected_numbers());
}

TEST(UnitRun, ProgressGoesOnFromWhatWasDone) {
  const testing::ScratchFolder scratch;
  Continuation kept{.file = scratch.path() / "x.partial", .identity = {{"model", "7"}}};
  attempt({1, 1}, 3, kept, [](int, int asked) { return asked == 2; });
  std::vector<double> shares;
  kept.progress = [&](double share) { shares.push_back(share); };
  std::vector<std::string> said;
  kept.notice = [&](const std::string& text) { said.push_back(text); };
  attempt({1, 1}, 3, kept);
  EXPECT_EQ(said,
            std::vector<std::string>{"continues: 3 of 7 units are done in " + kept.file.string()});
  ASSERT_EQ(shares.size(), 4u);
  EXPECT_NEAR(shares.front(), 4.5 / 7, 1e-12);
  EXPECT_EQ(shares.back(), 1);
}

class PartialFile : public ::testing::Test {
 protected:
  /// A file with two of seven units.
  void SetUp() override {
    PartialResults results(kUnits, kWidth);
    results.set(0, {1, 2, 3});
    results.set(4, {-0.0, std::nan(""), 1e308});
    results.save(file_, identity_);
  }
  std::string refusal(int64_t units, int64_t width, const Identity& identity) const {
    try {
      PartialResults(units, width).load(file_, identity);
    } catch (const core::InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr(file_.string()));
      EXPECT_EQ(error.problems().size(), 1u);
      return error.what();
    }
    return "none";
  }
  std::string bytes() const {
    std::ifstream in(file_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& bytes) const { std::ofstream(file_, std::ios::binary) << bytes; }

  const testing::ScratchFolder scratch_;
  const std::filesystem::path file_ = scratch_.path() / "result.json.partial";
  const Identity identity_{{"model", "7"}, {"length", "16"}};
};

TEST_F(PartialFile, HoldsWhatWasDone) {
  PartialResults found(kUnits, kWidth);
  found.load(file_, identity_);
  EXPECT_TRUE(found.has(0));
  EXPECT_FALSE(found.has(1));
  EXPECT_EQ(found.numbers()[2], 3);
  EXPECT_TRUE(std::signbit(found.numbers()[12]));
  EXPECT_TRUE(std::isnan(found.numbers()[13]));
  EXPECT_EQ(found.numbers()[14], 1e308);
}

TEST_F(PartialFile, OfAnotherEvaluationIsRefusedSayingHow) {
  EXPECT_THAT(refusal(kUnits, kWidth, {{"model", "8"}, {"length", "16"}}),
              HasSubstr("another evaluation: found model 7, expected model 8; remove it"));
  EXPECT_THAT(refusal(kUnits, kWidth, {{"model", "7"}}),
              HasSubstr("found length 16, expected nothing"));
  EXPECT_THAT(refusal(kUnits, kWidth, {{"model", "7"}, {"length", "16"}, {"seed", "1"}}),
              HasSubstr("found nothing, expected seed 1"));
  EXPECT_THAT(refusal(6, kWidth, identity_), HasSubstr("holds 7 units of 3 numbers, expected 6"));
  EXPECT_THAT(refusal(kUnits, 4, identity_), HasSubstr("expected 7 of 4"));
}

TEST_F(PartialFile, OfAnotherVersionOfTheProgramIsBegunAnewWithAWord) {
  const Identity older = identity_;
  Identity first = identity_, second = identity_;
  first.insert(first.begin(), {"program", "longhaul 1"});
  second.insert(second.begin(), {"program", "longhaul 2"});
  second.emplace_back("device", "cpu");
  for (const auto& [stored, name] : {std::pair{first, "longhaul 1"}, {older, "an older one"}}) {
    PartialResults results(kUnits, kWidth);
    results.set(0, {1, 2, 3});
    results.save(file_, stored);
    std::string said;
    const Attempt found = attempt(
        {2, 1}, 2, {.file = file_, .identity = second, .notice = [&](const std::string& text) {
                      said += text;
                    }});
    EXPECT_EQ(found.numbers, expected_numbers());
    EXPECT_EQ(std::ssize(found.units_run), kUnits);
    EXPECT_THAT(said, HasSubstr("was begun by " + std::string(name)));
    PartialResults(kUnits, kWidth).load(file_, second);  // its own by now
  }
  EXPECT_EQ(PartialResults::other_program(file_, second), std::nullopt);
  second[1].second = "8";
  EXPECT_EQ(PartialResults::other_program(file_, second), std::nullopt) << "another model's";
  second[0].second = "longhaul 3";
  EXPECT_EQ(PartialResults::other_program(file_, second), std::nullopt) << "another model's";
  EXPECT_THAT(refusal(kUnits, kWidth, second), HasSubstr("another evaluation"));
}

TEST_F(PartialFile, OfAnotherDeviceIsRefused) {
  Identity gpu = identity_;
  gpu.emplace_back("device", "NVIDIA H200");
  PartialResults(kUnits, kWidth).save(file_, gpu);
  gpu.back().second = "cpu";
  EXPECT_THAT(refusal(kUnits, kWidth, gpu), HasSubstr("found device NVIDIA H200, expected device"));
}

TEST_F(PartialFile, DamageAnywhereIsRefused) {
  const std::string good = bytes();
  for (size_t length = 0; length < good.size(); ++length) {
    write(good.substr(0, length));
    EXPECT_NE(refusal(kUnits, kWidth, identity_), "none") << length << " bytes of " << good.size();
  }
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x10);
    write(bad);
    EXPECT_NE(refusal(kUnits, kWidth, identity_), "none") << "byte " << i;
  }
  write("{\"task\": \"text\"}");
  EXPECT_THAT(refusal(kUnits, kWidth, identity_), HasSubstr("holds no partial results"));
}

TEST_F(PartialFile, RefusalReachesEveryRank) {
  Counted counted;
  int refused = 0;
  std::mutex mutex;
  dist::run_thread_ranks(2, [&](dist::Communicator& world) {
    const dist::Mesh mesh(world, {1, 2});
    try {
      run_units(mesh, job_of(mesh, 1, counted), {.file = file_, .identity = {}});
    } catch (const core::InputError& error) {
      const std::lock_guard lock(mutex);
      ++refused;
      EXPECT_THAT(error.what(), HasSubstr("another evaluation"));
    }
  });
  EXPECT_EQ(refused, 2);
  EXPECT_TRUE(counted.run.empty());
}

}  // namespace
}  // namespace longhaul::eval
