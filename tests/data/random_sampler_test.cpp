#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "data/samplers.h"
#include "tests/data/scratch.h"

namespace longhaul::data {
namespace {

using testing::Scratch;

struct Shape {
  int64_t tokens, length;
};

class RandomSampler : public ::testing::TestWithParam<Shape> {};

// One document of different tokens: a token's number is its place, and the end of document is the
// last of them.
TEST_P(RandomSampler, AnEpochVisitsEveryLabelOnceOverAllRanks) {
  const auto [tokens, length] = GetParam();
  Scratch scratch;
  testing::write_numbered(scratch / "tokens", {tokens - 1});
  const TokenFolder folder(scratch / "tokens");
  ASSERT_EQ(folder.tokens(), tokens);
  constexpr int kRanks = 3;
  std::vector<std::unique_ptr<BatchSource>> ranks;
  for (int rank = 0; rank < kRanks; ++rank)
    ranks.push_back(make_random_sampler(folder, length, 5,
                                        {.data_ranks = kRanks, .data_rank = rank, .rows = 1}));
  // Rows of the global stream, in order.
  std::vector<Batch> rows;
  for (int step = 0; step < 60; ++step)
    for (auto& rank : ranks) rows.push_back(rank->next());
  std::set<int64_t> offsets;
  int epochs = 0;
  for (size_t row = 0; row < rows.size();) {
    const int64_t offset = rows[row].tokens[0] % length;
    const int64_t windows = (tokens - 1 - offset) / length;
    ASSERT_GE(windows, 1);
    if (row + static_cast<size_t>(windows) > rows.size()) break;
    std::vector<int32_t> labels;
    for (const size_t end = row + static_cast<size_t>(windows); row < end; ++row) {
      ASSERT_EQ(rows[row].fresh[0], 1);
      for (size_t i = 0; i < static_cast<size_t>(length); ++i) {
        ASSERT_EQ(rows[row].tokens[i], rows[row].tokens[0] + static_cast<int32_t>(i));
        ASSERT_EQ(rows[row].labels[i], rows[row].tokens[i] + 1);
        labels.push_back(rows[row].labels[i]);
      }
    }
    std::sort(labels.begin(), labels.end());
    for (size_t i = 0; i < labels.size(); ++i)
      ASSERT_EQ(labels[i], offset + 1 + static_cast<int64_t>(i)) << "epoch " << epochs;
    offsets.insert(offset);
    ++epochs;
  }
  ASSERT_GE(epochs, 3) << "the test must see whole epochs";
  if (length > 1 && tokens > length + 2) {
    EXPECT_GT(offsets.size(), 1u);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, RandomSampler,
                         ::testing::Values(Shape{2, 1}, Shape{8, 7}, Shape{9, 7}, Shape{14, 7},
                                           Shape{15, 7}, Shape{40, 1}, Shape{101, 5},
                                           Shape{200, 13}),
                         [](const auto& info) {
                           return "Tokens" + std::to_string(info.param.tokens) + "Length" +
                                  std::to_string(info.param.length);
                         });

TEST(RandomSamplerRows, DoNotDependOnTheSizeOfTheBatch) {
  Scratch scratch;
  testing::write_numbered(scratch / "tokens", {500});
  const TokenFolder folder(scratch / "tokens");
  const auto stream = [&](int64_t rows, const std::string& position) {
    const auto source = make_random_sampler(folder, 8, 3, {.rows = rows});
    if (!position.empty()) source->restore(position);
    std::vector<int32_t> tokens;
    for (int64_t row = 0; row < 210; row += rows) {
      const Batch batch = source->next();
      tokens.insert(tokens.end(), batch.tokens.begin(), batch.tokens.end());
    }
    tokens.resize(210 * 8);
    return tokens;
  };
  const auto expected = stream(1, "");
  EXPECT_EQ(stream(7, ""), expected);
  EXPECT_EQ(stream(100, ""), expected);  // a batch of more rows than an epoch
  const auto source = make_random_sampler(folder, 8, 3, {.rows = 30});
  source->next();
  const std::vector<int32_t> later(expected.begin() + 30 * 8, expected.end());
  auto resumed = stream(7, source->position());
  resumed.resize(later.size());
  EXPECT_EQ(resumed, later);
}

TEST(RandomSamplerRows, AreInAnotherOrderEveryEpoch) {
  Scratch scratch;
  testing::write_numbered(scratch / "tokens", {1000});
  const TokenFolder folder(scratch / "tokens");
  const auto source = make_random_sampler(folder, 10, 3, {.rows = 100});
  const Batch a = source->next(), b = source->next();
  int in_order = 0, same_place = 0;
  for (size_t row = 0; row < 99; ++row) {
    in_order += a.tokens[(row + 1) * 10] == a.tokens[row * 10] + 10;
    same_place += a.tokens[row * 10] / 10 == b.tokens[row * 10] / 10;
  }
  EXPECT_LT(in_order, 8);    // 1 expected
  EXPECT_LT(same_place, 8);  // 1 expected
}

}  // namespace
}  // namespace longhaul::data
