#include "dist/mesh.h"

#include <gtest/gtest.h>

#include <tuple>

#include "dist/thread_communicator.h"
#include "kernels/core/error.h"

namespace longhaul::dist {
namespace {

TEST(SegmentOf, covers_every_length_without_gaps) {
  for (int64_t length : {0L, 1L, 2L, 5L, 7L, 16L, 1000003L, 5'000'000'000L}) {
    for (int ranks : {1, 2, 3, 5, 8, 64}) {
      int64_t next = 0, longest = segment_of(length, ranks, 0).length();
      for (int rank = 0; rank < ranks; ++rank) {
        const Segment segment = segment_of(length, ranks, rank);
        EXPECT_EQ(segment.begin, next);
        EXPECT_LE(segment.length(), longest) << "earlier ranks take the longer ones";
        longest = segment.length();
        next = segment.end;
      }
      EXPECT_EQ(next, length);
      EXPECT_LE(segment_of(length, ranks, 0).length() - longest, 1);
    }
  }
}

TEST(SegmentOf, by_hand) {
  EXPECT_EQ(segment_of(7, 3, 0).end, 3);
  EXPECT_EQ(segment_of(7, 3, 1).begin, 3);
  EXPECT_EQ(segment_of(7, 3, 1).end, 5);
  EXPECT_EQ(segment_of(7, 3, 2).length(), 2);
  EXPECT_EQ(segment_of(2, 3, 2).length(), 0);
}

class MeshTest : public ::testing::TestWithParam<std::tuple<int, int>> {};

TEST_P(MeshTest, neighbours_share_a_sequence) {
  const auto [data, sequence] = GetParam();
  run_thread_ranks(data * sequence, [&](Communicator& world) {
    const Mesh mesh(world, {data, sequence});
    EXPECT_EQ(mesh.shape().data, data);
    EXPECT_EQ(mesh.shape().sequence, sequence);
    EXPECT_EQ(mesh.data_group().size(), data);
    EXPECT_EQ(mesh.sequence_group().size(), sequence);
    EXPECT_EQ(world.rank(), mesh.data_rank() * sequence + mesh.sequence_rank());
    // The groups hold the right ranks, not only the right number of them.
    double sequence_sum = 0, data_sum = 0;
    for (int s = 0; s < sequence; ++s) sequence_sum += mesh.data_rank() * sequence + s;
    for (int d = 0; d < data; ++d) data_sum += d * sequence + mesh.sequence_rank();
    EXPECT_EQ(mesh.sequence_group().sum(static_cast<double>(world.rank())), sequence_sum);
    EXPECT_EQ(mesh.data_group().sum(static_cast<double>(world.rank())), data_sum);
  });
}

INSTANTIATE_TEST_SUITE_P(Shapes, MeshTest,
                         ::testing::Values(std::tuple{1, 1}, std::tuple{1, 3}, std::tuple{3, 1},
                                           std::tuple{2, 2}, std::tuple{2, 3}, std::tuple{3, 2}),
                         [](const auto& info) {
                           return std::to_string(std::get<0>(info.param)) + "_data_" +
                                  std::to_string(std::get<1>(info.param)) + "_sequence";
                         });

TEST(MeshTest, a_wrong_shape_is_an_input_error) {
  const auto solo = solo_communicator();
  for (const MeshShape shape :
       {MeshShape{2, 1}, MeshShape{1, 0}, MeshShape{-1, -1}, MeshShape{0, 1}}) {
    EXPECT_THROW(Mesh(*solo, shape), core::InputError);
  }
  try {
    Mesh(*solo, {2, 3});
    FAIL();
  } catch (const core::InputError& error) {
    EXPECT_STREQ(error.what(),
                 "parallel: data ranks (2) times sequence ranks (3) must be the number of ranks, "
                 "which is 1");
  }
}

}  // namespace
}  // namespace longhaul::dist
