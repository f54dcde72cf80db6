#include "dist/shard_layout.h"

#include <gtest/gtest.h>

#include "kernels/core/error.h"

namespace longhaul::dist {
namespace {

TEST(ShardLayout, every_element_belongs_to_one_rank_in_whole_blocks) {
  for (const int64_t elements : {0L, 1L, 16L, 47L, 48L, 1000L, 4096L, 5'000'000'011L}) {
    for (const int ranks : {1, 2, 3, 4, 7}) {
      for (const int64_t bucket : {1L, 100L, 4096L, 1L << 40}) {
        const int64_t block = 16;
        if (elements > 5000 && bucket < 4096) continue;
        const ShardLayout layout(
            {.elements = elements, .ranks = ranks, .bucket = bucket, .block = block});
        SCOPED_TRACE(core::message(elements, " elements, ", ranks, " ranks, bucket ", bucket));
        int64_t next = 0;
        for (const auto& each : layout.buckets()) {
          for (int rank = 0; rank < ranks; ++rank) {
            const Piece piece = layout.piece(each, rank);
            ASSERT_EQ(piece.begin, next);
            ASSERT_TRUE(piece.begin % block == 0 || piece.elements() == 0);
            ASSERT_TRUE(!each.even || piece.elements() == each.piece);
            next = piece.end;
          }
          ASSERT_EQ(next, each.end);
        }
        EXPECT_EQ(next, elements);
        int64_t owned = 0;
        for (int rank = 0; rank < ranks; ++rank) {
          owned += layout.owned(rank);
          EXPECT_LE(layout.owned(rank), elements / ranks + block) << "rank " << rank;
        }
        EXPECT_EQ(owned, elements);
      }
    }
  }
}

TEST(ShardLayout, by_hand) {
  const ShardLayout layout({.elements = 100, .ranks = 3, .bucket = 50, .block = 8});
  // Buckets of 72 (50 rounded up to 3 · 8 · …), then an even one of 24, then 4 elements for rank 0.
  ASSERT_EQ(layout.buckets().size(), 3u);
  EXPECT_EQ(layout.buckets()[0].end, 72);
  EXPECT_EQ(layout.piece(layout.buckets()[0], 2).begin, 48);
  EXPECT_EQ(layout.buckets()[1].piece, 8);
  EXPECT_FALSE(layout.buckets()[2].even);
  EXPECT_EQ(layout.piece(layout.buckets()[2], 0).end, 100);
  EXPECT_EQ(layout.piece(layout.buckets()[2], 1).elements(), 0);
  EXPECT_EQ(layout.owned(0), 24 + 8 + 4);
  EXPECT_EQ(layout.owned(2), 32);
  EXPECT_EQ(layout.padded(), 3 * 8);
  EXPECT_EQ(ShardLayout({.elements = 96, .ranks = 3, .bucket = 50, .block = 8}).padded(), 0);
}

TEST(ShardLayout, one_rank_owns_everything_in_one_piece) {
  const ShardLayout layout({.elements = 1001, .ranks = 1, .bucket = 10, .block = 16});
  ASSERT_EQ(layout.buckets().size(), 1u);
  EXPECT_EQ(layout.owned(0), 1001);
}

}  // namespace
}  // namespace longhaul::dist
