// What ops take from the device's pool is what workspace.h says, so that a plan of memory holds.
#include "kernels/workspace.h"

#include <gtest/gtest.h>

#include <numeric>

#include "kernels/cuda_sizes.h"
#include "kernels/loss/linear_cross_entropy.h"
#include "tests/kernels/device/device_test.h"
#include "tests/kernels/ssd_case.h"
#include "tests/support/random_tensor.h"

namespace longhaul::testing {
namespace {

using core::DType;

int64_t sum_of(const kernels::Workspace& workspace) {
  int64_t sum = 0;
  for (const int64_t bytes : workspace) {
    if (bytes > 0) sum += core::MemoryPool::size_class(bytes);
  }
  return sum;
}

/// The most that `work` takes beside what is in use before.
template <class Work>
int64_t taken_by(core::Context& context, const Work& work) {
  core::MemoryPool& pool = context.pool();
  pool.reset_peak();
  const int64_t before = pool.bytes_in_use();
  work();
  return pool.peak_bytes() - before;
}

kernels::SsdExtents extents_of(const SsdShape& shape, DType dtype, bool map) {
  const auto& s = shape.sizes;
  return {.device = core::DeviceKind::kCuda,
          .batch = s.batch,
          .length = s.length,
          .heads = s.heads,
          .head_dim = s.head_dim,
          .groups = s.groups,
          .state = s.state,
          .chunk = shape.chunk,
          .dtype = dtype,
          .map = map};
}

/// 100 blocks: two runs of chunks for the map, one for what enters the chunks.
TEST(Workspace, OfTheRecurrenceInOneRunOfChunksAndItsMapInTwo) {
  using kernels::cuda::ssd::chunk_runs;
  EXPECT_EQ(chunk_runs(100, 3, false), 2);
  EXPECT_EQ(chunk_runs(100, 3, true), 1);
  EXPECT_EQ(chunk_runs(60, 9, false), 4);
  EXPECT_EQ(chunk_runs(60, 9, true), 4);
  EXPECT_EQ(chunk_runs(300, 9, true), 1);
  const SsdShape shape{{1, 12, 100, 32, 1, 64}, 4};
  core::Context context(kCuda);
  SsdCase c(context, DType::kF32, shape, ssd_inputs(shape), SsdLayout::kPacked);
  const kernels::SsdMap map{.log_decay = c.log_decay, .state_from_zero = c.state_from_zero};
  const int64_t of_map =
      taken_by(context, [&] { kernels::ssd_forward_map(context, c.forward(), map); });
  const int64_t of_rest = taken_by(context, [&] { kernels::ssd_forward(context, c.forward()); });
  const int64_t with_map =
                    sum_of(kernels::ssd_forward_workspace(extents_of(shape, DType::kF32, true))),
                without =
                    sum_of(kernels::ssd_forward_workspace(extents_of(shape, DType::kF32, false)));
  EXPECT_LE(of_map, with_map);
  EXPECT_GT(of_map, without);
  EXPECT_LE(of_rest, without);
}

/// Rows of whole words of 16 bytes in bf16 too: of 33 tokens, 40.
TEST(Workspace, OfLogitsOfAnOddVocabulary) {
  constexpr int64_t kRows = 124, kVocabulary = 33, kWidth = 4;
  core::Context context(kCuda);
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const core::Tensor hidden = random_tensor(context, dtype, {kRows, kWidth}, 1),
                       weight = random_tensor(context, dtype, {kVocabulary, kWidth}, 2),
                       dhidden(context, dtype, {kRows, kWidth}),
                       labels = core::Tensor::zeros(context, DType::kI32, {kRows});
    const auto run = [&] {
      kernels::linear_cross_entropy(
          context, {.hidden = hidden, .weight = weight, .labels = labels, .dhidden = dhidden});
    };
    run();
    EXPECT_EQ(taken_by(context, run), sum_of(kernels::linear_cross_entropy_workspace(
                                          core::DeviceKind::kCuda, kRows, kVocabulary, dtype)));
  }
}

}  // namespace
}  // namespace longhaul::testing
