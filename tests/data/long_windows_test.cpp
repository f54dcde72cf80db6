#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "data/samplers.h"
#include "tests/data/scratch.h"

namespace longhaul::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Scratch;

TEST(LongWindows, LieInsideDocumentsSpreadOverThem) {
  Scratch scratch;
  std::vector<int64_t> sizes;
  for (int i = 0; i < 40; ++i) sizes.push_back(i % 2 == 0 ? 10 : 9);  // 11 tokens, 10 tokens
  testing::write_numbered(scratch / "tokens", sizes);
  const TokenFolder folder(scratch / "tokens");
  const LongWindows found = find_long_windows(folder, 10, 5, 1);
  EXPECT_EQ(found.whole_documents, 20);
  EXPECT_TRUE(found.inside_documents);
  ASSERT_EQ(found.begins.size(), 5u);
  for (size_t i = 0; i < 5; ++i) {
    const int64_t pair = found.begins[i] / 21;  // a long and a short document
    EXPECT_EQ(found.begins[i] % 21, 0);
    EXPECT_GE(pair, static_cast<int64_t>(4 * i));
    EXPECT_LT(pair, static_cast<int64_t>(4 * i + 4));
  }
  EXPECT_EQ(find_long_windows(folder, 10, 5, 1).begins, found.begins);
  std::set<std::vector<int64_t>> others;
  for (uint64_t seed = 0; seed < 10; ++seed)
    others.insert(find_long_windows(folder, 10, 5, seed).begins);
  EXPECT_GT(others.size(), 5u);
}

TEST(LongWindows, MayBeginAnywhereInsideTheirDocument) {
  Scratch scratch;
  std::vector<int64_t> sizes(30, 19);  // 20 tokens each: a window of 10 + 1 fits in 10 places
  testing::write_numbered(scratch / "tokens", sizes);
  const TokenFolder folder(scratch / "tokens");
  std::set<int64_t> offsets;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const LongWindows found = find_long_windows(folder, 10, 15, seed, WindowBegin::kInside);
    EXPECT_TRUE(found.inside_documents);
    for (size_t i = 0; i < found.begins.size(); ++i) {
      EXPECT_EQ(found.begins[i] / 20 / 2, static_cast<int64_t>(i));
      offsets.insert(found.begins[i] % 20);
    }
  }
  EXPECT_THAT(offsets, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
}

TEST(LongWindows, TakeAllDocumentsIfExactlyEnough) {
  Scratch scratch;
  testing::write_numbered(scratch / "tokens", {10, 3, 12, 10});
  const TokenFolder folder(scratch / "tokens");
  const LongWindows found = find_long_windows(folder, 10, 3, 1);
  EXPECT_TRUE(found.inside_documents);
  EXPECT_THAT(found.begins, ElementsAre(0, 15, 28));
}

TEST(LongWindows, CrossBordersIfDocumentsAreTooFew) {
  Scratch scratch;
  testing::write_numbered(scratch / "tokens", std::vector<int64_t>(100, 9));  // 1000 tokens
  const TokenFolder folder(scratch / "tokens");
  const LongWindows found = find_long_windows(folder, 99, 8, 1);
  EXPECT_EQ(found.whole_documents, 0);
  EXPECT_FALSE(found.inside_documents);
  ASSERT_EQ(found.begins.size(), 8u);
  for (size_t i = 0; i < 8; ++i) {  // behind i windows, the i-th eighth of the 208 places left over
    EXPECT_GE(found.begins[i], static_cast<int64_t>(99 * i + 208 * i / 8));
    EXPECT_LT(found.begins[i], static_cast<int64_t>(99 * i + 208 * (i + 1) / 8));
  }
}

TEST(LongWindows, AcrossBordersAreAsManyAsDoNotOverlap) {
  Scratch scratch;
  testing::write_numbered(scratch / "tokens", std::vector<int64_t>(100, 9));  // 1000 tokens
  const TokenFolder folder(scratch / "tokens");
  for (const int64_t length : {99, 250, 333, 400, 999}) {
    const auto fit = static_cast<size_t>(999 / length);
    for (uint64_t seed = 0; seed < 10; ++seed) {
      const std::vector<int64_t> begins = find_long_windows(folder, length, 64, seed).begins;
      ASSERT_EQ(begins.size(), fit);
      for (size_t i = 1; i < fit; ++i) EXPECT_GE(begins[i], begins[i - 1] + length);
      EXPECT_GE(begins.front(), 0);
      EXPECT_LE(begins.back() + length + 1, 1000);
    }
  }
}

TEST(LongWindows, MayBeTheWholeFolder) {
  Scratch scratch;
  testing::write_numbered(scratch / "tokens", {4, 4});
  const TokenFolder folder(scratch / "tokens");
  EXPECT_THAT(find_long_windows(folder, 9, 3, 1).begins, ElementsAre(0));
  EXPECT_THAT(testing::problem_of([&] { find_long_windows(folder, 10, 3, 1); }),
              HasSubstr("has 10 tokens, expected at least 11"));
}

}  // namespace
}  // namespace longhaul::data
