// Recorded work: what is launched, with which numbers, and what cannot be recorded.
#include "kernels/core/cuda_graph.h"

#include "kernels/core/error.h"
#include "kernels/elementwise/add.h"
#include "kernels/linear/linear.h"
#include "tests/kernels/device/device_test.h"
#include "tests/support/random_tensor.h"

namespace longhaul::testing {
namespace {

using core::Context;
using core::CudaGraph;
using core::DType;
using core::Tensor;

class Graph : public DeviceTest {};

TEST_F(Graph, IsRunAtEveryLaunchAndNotWhenItIsRecorded) {
  Context context(kCuda);
  const Tensor x = Tensor::from<float>(context, {1, 2}, {2}),
               y = Tensor::zeros(context, DType::kF32, {2});
  const CudaGraph graph = CudaGraph::record(context, [&] { kernels::add(context, x, y); });
  EXPECT_EQ(values_of(y), (std::vector<double>{0, 0}));
  graph.launch(context);
  graph.launch(context);
  EXPECT_EQ(values_of(y), (std::vector<double>{2, 4}));
  core::copy(context, Tensor::from<float>(context, {5, -1}, {2}), x);
  graph.launch(context);
  EXPECT_EQ(values_of(y), (std::vector<double>{7, 3}));
}

TEST_F(Graph, HoldsProductsCopiesAndMemoryOfThePool) {
  Context context(kCuda);
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const Tensor x = random_tensor(context, dtype, {24, 32}, 1),
                 weight = random_tensor(context, dtype, {16, 32}, 2);
    const Tensor y(context, dtype, {24, 16});
    const auto work = [&] {
      const Tensor product(context, dtype, {24, 16});
      kernels::linear_forward(context, {.x = x, .weight = weight, .bias = {}, .y = product});
      core::copy(context, product, y);
    };
    work();
    const auto expected = values_of(y);
    const CudaGraph graph = CudaGraph::record(context, work);
    core::set_zero(context, y);
    graph.launch(context);
    EXPECT_EQ(values_of(y), expected);
  }
}

TEST_F(Graph, WhatTheHostWaitsForCannotBeRecorded) {
  Context context(kCuda);
  const Tensor x = Tensor::from<float>(context, {1, 2}, {2}),
               y = Tensor::zeros(context, DType::kF32, {2});
  EXPECT_THROW(CudaGraph::record(context, [&] { core::synchronize(context); }), core::Error);
  EXPECT_THROW(CudaGraph::record(context, [&] { Tensor(context, DType::kF32, {1 << 22}); }),
               core::Error);
  // The context is as good as before.
  kernels::add(context, x, y);
  const CudaGraph graph = CudaGraph::record(context, [&] { kernels::add(context, x, y); });
  graph.launch(context);
  EXPECT_EQ(values_of(y), (std::vector<double>{2, 4}));
}

}  // namespace
}  // namespace longhaul::testing
