// How many launches and waits ops take: what costs time on a device whatever the sizes are.
#include <gtest/gtest.h>

#include "kernels/embedding/embedding.h"
#include "kernels/optimizer/adamw.h"
#include "tests/kernels/device/device_test.h"
#include "tests/support/random_tensor.h"
#include "tests/support/simt/counts.h"

namespace longhaul::testing {
namespace {

using core::Context;
using core::DType;
using core::Tensor;

struct Counts {
  int64_t grids = simt::grids_run(), waits = simt::calls_not_recordable();
};
/// Of the second of two calls: the first takes memory for the pool.
template <class Work>
Counts counts_of(const Work& work) {
  work();
  const Counts before;
  work();
  const Counts after;
  return {after.grids - before.grids, after.waits - before.waits};
}

TEST(Launches, SumsOfManyTensors) {
  Context context(kCuda);
  std::vector<Tensor> tensors;
  for (int i = 0; i < 96; ++i) {
    tensors.push_back(random_tensor(context, i % 2 == 0 ? DType::kF32 : DType::kBF16, {i}, i + 1));
  }
  const std::vector<core::TensorView> views(tensors.begin(), tensors.end());
  const Counts counts = counts_of([&] { kernels::sums_of_squares(context, views); });
  EXPECT_EQ(counts.grids, 2);
  EXPECT_EQ(counts.waits, 1);
}

TEST(Launches, BlockSumsOfManyParts) {
  Context context(kCuda);
  constexpr int64_t kParts = 200, kBlock = 16;
  const Tensor x = random_tensor(context, DType::kF32, {kParts * kBlock}, 1);
  std::vector<double> sums(kParts);
  const core::TensorView all(sums.data(), DType::kF64, {kParts});
  std::vector<kernels::BlockSums> parts;
  for (int64_t i = 0; i < kParts; ++i) {
    parts.push_back({.x = x.view().slice(0, i * kBlock, (i + 1) * kBlock),
                     .block = kBlock,
                     .sums = all.slice(0, i, i + 1)});
  }
  const Counts counts = counts_of([&] { kernels::block_sums_of_squares(context, parts); });
  EXPECT_EQ(counts.grids, 3);
  EXPECT_EQ(counts.waits, 1);
}

/// 8,192 keys in two blocks of 4,096: made, sorted in the blocks, merged by one step across them
/// and the others within, their rows added.
TEST(Launches, GradientOfTheEmbedding) {
  Context context(kCuda);
  constexpr int64_t kRows = 5000;
  const Tensor tokens = Tensor::zeros(context, DType::kI32, {kRows}),
               dy = random_tensor(context, DType::kF32, {kRows, 1}, 1),
               dweight = Tensor::zeros(context, DType::kF32, {2, 1});
  const kernels::EmbeddingBackward args{
      .tokens = tokens, .dy = dy, .dweight = dweight, .tokens_checked = true};
  const Counts counts = counts_of([&] { kernels::embedding_backward(context, args); });
  EXPECT_EQ(counts.grids, 5);
  EXPECT_EQ(counts.waits, 0);
}

}  // namespace
}  // namespace longhaul::testing
