// What every kind of batch source promises: the same global batches for any number of data ranks,
// and an exact continuation from every position.
#include "data/batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "data/read_ahead.h"
#include "data/recall_task.h"
#include "data/samplers.h"
#include "tests/data/a_task.h"
#include "tests/data/scratch.h"

namespace longhaul::data {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using testing::problem_of;
using testing::Scratch;

constexpr int64_t kLength = 6;
constexpr int64_t kGlobalRows = 6;
constexpr int kSteps = 40;  // several epochs of the folder below

struct Kind {
  std::string name;
  std::function<std::unique_ptr<BatchSource>(const TokenData&, RowShare, uint64_t seed)> make;
};

void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

std::vector<Kind> kinds() {
  const auto recall = [](bool contiguous) {
    return [=](const TokenData&, RowShare share, uint64_t seed) {
      return make_recall_source({.keys = 9, .values = 5, .reach = 4, .label_all = contiguous},
                                kLength, seed, share, contiguous);
    };
  };
  const auto lanes = [](bool reset) {
    return [=](const TokenData& folder, RowShare share, uint64_t seed) {
      return make_lane_sampler(folder, kLength, seed, share, {.reset_at_documents = reset});
    };
  };
  const auto random = [](const TokenData& folder, RowShare share, uint64_t seed) {
    return make_random_sampler(folder, kLength, seed, share);
  };
  const auto task = [](bool contiguous) {
    return [=](const TokenData&, RowShare share, uint64_t seed) {
      // The source keeps a reference: one task for all of them.
      static const auto copy = testing::a_task("copy", {{"letters", 5}, {"longest", 1}});
      return make_task_source(*copy, kLength, seed, share, contiguous);
    };
  };
  return {{"Random", random},
          {"Lanes", lanes(false)},
          {"DocumentLanes", lanes(true)},
          {"Recall", recall(false)},
          {"RecallContiguous", recall(true)},
          {"Task", task(false)},
          {"TaskContiguous", task(true)}};
}

/// The same, read in advance.
std::vector<Kind> kinds_ahead() {
  std::vector<Kind> kinds_ahead = kinds();
  for (Kind& kind : kinds_ahead) {
    kind.make = [make = kind.make](const TokenData& folder, RowShare share, uint64_t seed) {
      return read_ahead(make(folder, share, seed), 3);
    };
  }
  return kinds_ahead;
}

RowShare share_of(int ranks, int rank) {
  return {.data_ranks = ranks, .data_rank = rank, .rows = kGlobalRows / ranks};
}

bool same(const Batch& a, const Batch& b) {
  return a.sequences == b.sequences && a.length == b.length && a.tokens == b.tokens &&
         a.labels == b.labels && a.fresh == b.fresh;
}

/// All data ranks of one global batch.
class Ranks {
 public:
  Ranks(const Kind& kind, const TokenData& folder, int ranks) {
    for (int rank = 0; rank < ranks; ++rank)
      sources_.push_back(kind.make(folder, share_of(ranks, rank), 11));
  }
  Batch next() {
    Batch all{.sequences = 0, .length = kLength};
    for (auto& source : sources_) {
      const Batch part = source->next();
      all.sequences += part.sequences;
      all.tokens.insert(all.tokens.end(), part.tokens.begin(), part.tokens.end());
      all.labels.insert(all.labels.end(), part.labels.begin(), part.labels.end());
      all.fresh.insert(all.fresh.end(), part.fresh.begin(), part.fresh.end());
    }
    return all;
  }
  std::string position() const {
    const std::string position = sources_.front()->position();
    for (const auto& source : sources_)
      EXPECT_EQ(source->position(), position) << "ranks know different positions";
    return position;
  }
  void restore(const std::string& position) {
    for (auto& source : sources_) source->restore(position);
  }

 private:
  std::vector<std::unique_ptr<BatchSource>> sources_;
};

class EveryBatchSource : public ::testing::TestWithParam<Kind> {
 protected:
  EveryBatchSource() {
    testing::write_numbered(scratch_ / "tokens", {1, 30, 0, 7, 8, 0, 0, 55, 6, 2, 40});
    testing::write_numbered(scratch_ / "other", {1, 30, 0, 7, 8, 0, 0, 55, 6, 40, 2});
  }
  Scratch scratch_;
};

TEST_P(EveryBatchSource, BatchesAreWellFormed) {
  const TokenFolder folder(scratch_ / "tokens");
  const auto source = GetParam().make(folder, share_of(2, 1), 11);
  for (int step = 0; step < kSteps; ++step) {
    const Batch batch = source->next();
    ASSERT_EQ(batch.sequences, 3);
    ASSERT_EQ(batch.length, kLength);
    ASSERT_EQ(batch.tokens.size(), 18u);
    ASSERT_EQ(batch.labels.size(), 18u);
    ASSERT_EQ(batch.fresh.size(), 3u);
    for (const int32_t token : batch.tokens)
      ASSERT_TRUE(token >= 0 && token < source->vocabulary());
    for (const int32_t label : batch.labels)
      ASSERT_TRUE(label >= -1 && label < source->vocabulary());
  }
}

TEST_P(EveryBatchSource, GlobalBatchDoesNotDependOnTheRanks) {
  const TokenFolder folder(scratch_ / "tokens");
  Ranks one(GetParam(), folder, 1), two(GetParam(), folder, 2), three(GetParam(), folder, 3);
  for (int step = 0; step < kSteps; ++step) {
    const Batch expected = one.next();
    ASSERT_TRUE(same(two.next(), expected)) << step;
    ASSERT_TRUE(same(three.next(), expected)) << step;
    const std::string position = one.position();
    ASSERT_EQ(two.position(), position);
    ASSERT_EQ(three.position(), position);
  }
}

TEST_P(EveryBatchSource, ContinuesFromEveryPositionOnAnyRanks) {
  const TokenFolder folder(scratch_ / "tokens");
  Ranks whole(GetParam(), folder, 2);
  std::vector<std::string> positions;
  std::vector<Batch> batches;
  for (int step = 0; step < kSteps; ++step) {
    positions.push_back(whole.position());
    batches.push_back(whole.next());
  }
  for (const int ranks : {1, 2, 3}) {
    for (size_t from = 0; from < positions.size(); ++from) {
      Ranks resumed(GetParam(), folder, ranks);
      for (size_t used = 0; used < from % 3; ++used) resumed.next();  // restore() starts anywhere
      resumed.restore(positions[from]);
      for (size_t step = from; step < std::min(from + 12, batches.size()); ++step) {
        ASSERT_EQ(resumed.position(), positions[step]);
        ASSERT_TRUE(same(resumed.next(), batches[step])) << ranks << " ranks, " << from << "+";
      }
    }
  }
}

TEST_P(EveryBatchSource, SeedChangesTheBatches) {
  const TokenFolder folder(scratch_ / "tokens");
  const auto a = GetParam().make(folder, share_of(1, 0), 1);
  const auto b = GetParam().make(folder, share_of(1, 0), 2);
  int different = 0;
  for (int step = 0; step < 5; ++step) different += a->next().tokens != b->next().tokens;
  EXPECT_GE(different, 4);
}

TEST_P(EveryBatchSource, RefusesPositionsOfOtherSources) {
  const TokenFolder folder(scratch_ / "tokens");
  const auto source = GetParam().make(folder, share_of(1, 0), 11);
  source->next();
  const std::string own = source->position();
  for (const Kind& other : kinds()) {
    if (other.name == GetParam().name) continue;
    const auto position = other.make(folder, share_of(1, 0), 11)->position();
    EXPECT_THAT(problem_of([&] { source->restore(position); }),
                AllOf(HasSubstr("data position: "), HasSubstr("expected")))
        << other.name;
  }
  const auto otherwise = GetParam().make(folder, share_of(1, 0), 12)->position();
  EXPECT_THAT(problem_of([&] { source->restore(otherwise); }),
              HasSubstr("seed is 12, expected 11"));
  EXPECT_THAT(problem_of([&] { source->restore(""); }), HasSubstr("kind of source is nothing"));
  EXPECT_THAT(problem_of([&] { source->restore("\xff\xff\xff"); }), HasSubstr("not a position"));
  EXPECT_EQ(source->position(), own) << "a refused position changed the source";
}

TEST_P(EveryBatchSource, SurvivesDamagedPositions) {
  const TokenFolder folder(scratch_ / "tokens");
  const auto source = GetParam().make(folder, share_of(1, 0), 11);
  for (int step = 0; step < 7; ++step) source->next();
  const std::string good = source->position();
  int refused = 0;
  for (size_t byte = 0; byte < good.size(); ++byte) {
    for (const int flip : {0x01, 0x40, 0x80, 0xff}) {
      std::string bad = good;
      bad[byte] = static_cast<char>(bad[byte] ^ flip);
      try {
        source->restore(bad);
      } catch (const core::InputError&) {
        ++refused;
      }
      for (int step = 0; step < 3; ++step) source->next();  // must not crash or hang
    }
  }
  EXPECT_GT(refused, 0);
}

INSTANTIATE_TEST_SUITE_P(Kinds, EveryBatchSource, ::testing::ValuesIn(kinds()),
                         [](const auto& info) { return info.param.name; });
INSTANTIATE_TEST_SUITE_P(KindsAhead, EveryBatchSource, ::testing::ValuesIn(kinds_ahead()),
                         [](const auto& info) { return info.param.name; });

class EverySampler : public EveryBatchSource {};

TEST_P(EverySampler, RefusesPositionsInOtherTokens) {
  const TokenFolder folder(scratch_ / "tokens"), other(scratch_ / "other");
  const auto position = GetParam().make(other, share_of(1, 0), 11)->position();
  const auto source = GetParam().make(folder, share_of(1, 0), 11);
  EXPECT_THAT(problem_of([&] { source->restore(position); }),
              AllOf(HasSubstr("data.folder: "), HasSubstr("holds other tokens")));
}

TEST_P(EverySampler, NeedsEnoughTokens) {
  for (const int64_t tokens : {0, 1, 6}) {
    const std::string name = "small" + std::to_string(tokens);
    testing::write_numbered(scratch_ / name,
                            tokens == 0 ? std::vector<int64_t>{} : std::vector{tokens - 1});
    const TokenFolder folder(scratch_ / name);
    EXPECT_THAT(problem_of([&] { GetParam().make(folder, {.rows = 1}, 1); }),
                AllOf(HasSubstr((scratch_ / name).string()),
                      HasSubstr("has " + std::to_string(tokens) + " tokens"),
                      HasSubstr("expected at least 7")));
  }
  testing::write_numbered(scratch_ / "enough", {6});
  const TokenFolder folder(scratch_ / "enough");
  const auto source = GetParam().make(folder, {.rows = 1}, 1);
  for (int step = 0; step < 5; ++step) EXPECT_EQ(source->next().sequences, 1);
}

INSTANTIATE_TEST_SUITE_P(Kinds, EverySampler, ::testing::Values(kinds()[0], kinds()[1], kinds()[2]),
                         [](const auto& info) { return info.param.name; });

TEST(Samplers, RefuseImpossibleLengths) {
  Scratch scratch;
  testing::write_numbered(scratch / "tokens", {20});
  const TokenFolder folder(scratch / "tokens");
  for (const int64_t length : {int64_t{-1}, int64_t{0}, INT64_MAX}) {
    EXPECT_THAT(problem_of([&] { make_random_sampler(folder, length, 1, {}); }),
                HasSubstr("sequence length"));
    EXPECT_THAT(problem_of([&] { make_lane_sampler(folder, length, 1, {}, {}); }),
                HasSubstr("sequence length"));
  }
}

}  // namespace
}  // namespace longhaul::data
