#include "data/recall_task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "tests/data/scratch.h"

namespace longhaul::data {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::problem_of;

struct Stream {
  std::vector<int32_t> tokens, labels;
};

struct Counted {
  int64_t pairs = 0, queries = 0;
  std::map<int64_t, int64_t> distances;     // of queries to their key's last occurrence
  std::map<int32_t, int64_t> bound_values;  // drawn by bindings
};

/// Reads a stream that starts fresh from its text alone and holds it against the task's definition.
/// A key that is recent can only have been asked for: bindings take others.
void check_stream(const RecallTask& task, const Stream& s, Counted& counted) {
  std::map<int32_t, int64_t> last;
  std::map<int32_t, int32_t> latest;
  const auto length = static_cast<int64_t>(s.tokens.size());
  for (int64_t pair = 0; pair < length / 2; ++pair) {
    const auto at = static_cast<size_t>(2 * pair);
    const int32_t key = s.tokens[at], value = s.tokens[at + 1];
    ASSERT_GE(key, task.values);
    ASSERT_LT(key, task.vocabulary());
    ASSERT_GE(value, 0);
    ASSERT_LT(value, task.values);
    const bool query = last.count(key) && pair - last[key] <= task.reach;
    if (query) {
      ASSERT_EQ(value, latest[key]) << "pair " << pair;
      ++counted.distances[pair - last[key]];
    } else {
      ++counted.bound_values[value];
    }
    if (task.label_all) {
      ASSERT_EQ(s.labels[at], value);
      if (at + 2 < s.tokens.size()) {
        ASSERT_EQ(s.labels[at + 1], s.tokens[at + 2]);
      }
      ASSERT_GE(s.labels[at + 1], task.values);
    } else {
      ASSERT_EQ(s.labels[at], query ? value : -1) << "pair " << pair;
      ASSERT_EQ(s.labels[at + 1], -1);
    }
    last[key] = pair;
    latest[key] = value;
    ++counted.pairs;
    counted.queries += query;
  }
}

Stream read(const RecallTask& task, uint64_t seed, uint64_t stream,
            const std::vector<int64_t>& pieces) {
  RecallStream source(task, seed, stream);
  Stream all;
  for (const int64_t piece : pieces) {
    const size_t before = all.tokens.size();
    all.tokens.resize(before + static_cast<size_t>(piece));
    all.labels.resize(before + static_cast<size_t>(piece));
    source.next(piece, all.tokens.data() + before, all.labels.data() + before);
  }
  return all;
}

struct NamedTask {
  std::string name;
  RecallTask task;
};
void PrintTo(const NamedTask& named, std::ostream* out) { *out << named.name; }

class RecallTasks : public ::testing::TestWithParam<NamedTask> {};

TEST_P(RecallTasks, StreamFollowsTheDefinition) {
  const RecallTask& task = GetParam().task;
  Counted counted;
  ASSERT_NO_FATAL_FAILURE(check_stream(task, read(task, 3, 0, {200000}), counted));
  const double share = static_cast<double>(counted.queries) / static_cast<double>(counted.pairs);
  // Five standard deviations of a fraction over 100000 pairs are below 0.008.
  EXPECT_NEAR(share, task.query_fraction, 0.008);
}

TEST_P(RecallTasks, PiecesMakeTheSameStream) {
  const RecallTask& task = GetParam().task;
  const Stream whole = read(task, 3, 1, {4000});
  const Stream pieces = read(task, 3, 1, {2, 998, 2, 2000, 998});
  EXPECT_EQ(pieces.tokens, whole.tokens);
  EXPECT_EQ(pieces.labels, whole.labels);
}

INSTANTIATE_TEST_SUITE_P(
    Sizes, RecallTasks,
    ::testing::Values(NamedTask{"Default", RecallTask{}},
                      NamedTask{"LabelAll", RecallTask{.label_all = true}},
                      NamedTask{"Smallest", RecallTask{.keys = 2, .values = 2, .reach = 1}},
                      NamedTask{"Tight", RecallTask{.keys = 9, .values = 4, .reach = 8}},
                      NamedTask{"LongReach", RecallTask{.keys = 3000, .values = 7, .reach = 2000}},
                      NamedTask{"NoQueries", RecallTask{.query_fraction = 0}},
                      NamedTask{"OnlyQueries", RecallTask{.query_fraction = 1}},
                      NamedTask{"RareQueries", RecallTask{.query_fraction = 0.1}}),
    [](const auto& info) { return info.param.name; });

TEST(RecallTask, ReachesBackAsFarAsItMayAndDrawsEvenly) {
  const RecallTask task;
  Counted counted;
  ASSERT_NO_FATAL_FAILURE(check_stream(task, read(task, 8, 0, {400000}), counted));
  for (int64_t distance = 1; distance <= task.reach; ++distance)
    EXPECT_GT(counted.distances[distance], 100) << distance;
  EXPECT_EQ(counted.distances.rbegin()->first, task.reach);
  const double expected =
      static_cast<double>(counted.pairs - counted.queries) / static_cast<double>(task.values);
  for (int32_t value = 0; value < task.values; ++value)
    EXPECT_NEAR(static_cast<double>(counted.bound_values[value]), expected,
                6 * std::sqrt(expected));
}

// Given that distinct keys of the window are equally likely, so are they whatever their number of
// occurrences: a direct count on a tiny window.
TEST(RecallTask, AsksForDistinctKeysEvenly) {
  const RecallTask task{.keys = 5, .values = 100, .reach = 3};
  const Stream s = read(task, 4, 0, {400000});
  int64_t older = 0, newer = 0;
  for (size_t pair = 3; pair < s.tokens.size() / 2; ++pair) {
    const auto key = [&](size_t back) { return s.tokens[2 * (pair - back)]; };
    // Window A B B: A and B once each.
    if (key(1) != key(2) || key(3) == key(1) || s.labels[2 * pair] < 0) continue;
    older += key(0) == key(3);
    newer += key(0) == key(1);
  }
  const double expected = static_cast<double>(older + newer) / 2;
  ASSERT_GT(expected, 1000);
  EXPECT_NEAR(static_cast<double>(older), expected, 6 * std::sqrt(expected / 2));
}

TEST(RecallTask, StreamsDiffer) {
  const RecallTask task;
  const auto tokens = [&](uint64_t seed, uint64_t stream) {
    return read(task, seed, stream, {200}).tokens;
  };
  EXPECT_EQ(tokens(1, 1), tokens(1, 1));
  EXPECT_NE(tokens(1, 1), tokens(1, 2));
  EXPECT_NE(tokens(1, 1), tokens(2, 1));
}

TEST(RecallTask, RefusesContradictions) {
  const auto problem = [](const RecallTask& task) {
    return problem_of([&] { make_recall_source(task, 8, 1, {}, false); });
  };
  EXPECT_THAT(problem({.keys = 31}), HasSubstr("keys: must be more than reach (31), is 31"));
  EXPECT_THAT(problem({.keys = 1, .values = 0, .reach = 0}),
              AllOf(HasSubstr("keys: must be at least 2, is 1"),
                    HasSubstr("values: must be at least 2, is 0"),
                    HasSubstr("reach: must be at least 1, is 0")));
  EXPECT_THAT(problem({.query_fraction = 1.5}), HasSubstr("query_fraction"));
  EXPECT_THAT(problem({.query_fraction = std::nan("")}), HasSubstr("query_fraction"));
  EXPECT_THAT(problem({.keys = INT64_MAX}), HasSubstr("keys: must be at most"));
  EXPECT_THAT(problem({.values = INT64_MAX}), HasSubstr("values: must be at most"));
  for (const int64_t length : {-2, 0, 1, 7})
    EXPECT_THAT(problem_of([&] { make_recall_source({}, length, 1, {}, true); }),
                HasSubstr("even number"));
  int32_t tokens[3], labels[3];
  EXPECT_THAT(problem_of([&] { RecallStream({}, 1, 1).next(3, tokens, labels); }),
              HasSubstr("sequence length is 3"));
}

TEST(RecallSource, EveryRowIsAFreshStream) {
  const RecallTask task;
  const auto source = make_recall_source(task, 64, 5, {.rows = 4}, false);
  EXPECT_EQ(source->vocabulary(), 224);
  Counted counted;
  std::set<std::vector<int32_t>> different;
  for (int step = 0; step < 50; ++step) {
    const Batch batch = source->next();
    for (size_t row = 0; row < 4; ++row) {
      EXPECT_EQ(batch.fresh[row], 1);
      const Stream s{{batch.tokens.begin() + static_cast<ptrdiff_t>(64 * row),
                      batch.tokens.begin() + static_cast<ptrdiff_t>(64 * row + 64)},
                     {batch.labels.begin() + static_cast<ptrdiff_t>(64 * row),
                      batch.labels.begin() + static_cast<ptrdiff_t>(64 * row + 64)}};
      ASSERT_NO_FATAL_FAILURE(check_stream(task, s, counted));
      different.insert(s.tokens);
    }
  }
  EXPECT_EQ(different.size(), 200u);
}

TEST(RecallSource, RowsDoNotDependOnTheSizeOfTheBatch) {
  const auto stream = [](int64_t rows, const std::string& position, size_t cells) {
    const auto source = make_recall_source({}, 8, 5, {.rows = rows}, false);
    if (!position.empty()) source->restore(position);
    std::vector<int32_t> tokens;
    while (tokens.size() < cells) {
      const Batch batch = source->next();
      tokens.insert(tokens.end(), batch.tokens.begin(), batch.tokens.end());
    }
    tokens.resize(cells);
    return tokens;
  };
  const auto expected = stream(1, "", 60 * 8);
  EXPECT_EQ(stream(7, "", 60 * 8), expected);
  const auto source = make_recall_source({}, 8, 5, {.rows = 6}, false);
  for (int step = 0; step < 3; ++step) source->next();
  const std::vector<int32_t> later(expected.begin() + 18 * 8, expected.end());
  EXPECT_EQ(stream(4, source->position(), later.size()), later);
}

TEST(RecallSource, ContiguousRowsAreOneStreamEach) {
  for (const bool label_all : {false, true}) {
    const RecallTask task{.label_all = label_all};
    const auto source = make_recall_source(task, 10, 5, {.rows = 3}, true);
    std::vector<Stream> lanes(3);
    for (int step = 0; step < 400; ++step) {
      const Batch batch = source->next();
      for (size_t row = 0; row < 3; ++row) {
        ASSERT_EQ(batch.fresh[row], step == 0);
        for (size_t i = 10 * row; i < 10 * row + 10; ++i) {
          lanes[row].tokens.push_back(batch.tokens[i]);
          lanes[row].labels.push_back(batch.labels[i]);
        }
      }
    }
    for (const Stream& lane : lanes) {
      Counted counted;
      ASSERT_NO_FATAL_FAILURE(check_stream(task, lane, counted));
      EXPECT_GT(counted.queries, 800);
    }
    EXPECT_NE(lanes[0].tokens, lanes[1].tokens);
  }
}

TEST(RecallSource, ContiguousPositionStaysSmall) {
  const auto source = make_recall_source({}, 1024, 5, {.rows = 8}, true);
  for (int step = 0; step < 50; ++step) source->next();
  EXPECT_LT(source->position().size(), 8u * 31 * 2 * 2 + 200);
}

}  // namespace
}  // namespace longhaul::data
