// Does the emulation of a CUDA device see what is wrong, and compute what is right? Kernels here
// are written as in kernels/*.cu.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <set>
#include <vector>

#include "kernels/core/block_sum.cuh"
#include "kernels/core/random.h"
#include "kernels/ssd/matrix_tile.cuh"

namespace longhaul::testing {
namespace {

using core::device::Shared;
using core::device::SharedMemory;
using simt::Fault;

struct Shape {
  unsigned blocks = 1, threads = 64;
  size_t shared_bytes = 0;
  unsigned blocks_y = 1, blocks_z = 1;
};

template <class... Parameters, class... Arguments>
cudaError_t run(const Shape& shape, void (*kernel)(Parameters...), Arguments... arguments) {
  cudaLaunchConfig_t config;
  config.gridDim = dim3(shape.blocks, shape.blocks_y, shape.blocks_z);
  config.blockDim = dim3(shape.threads);
  config.dynamicSmemBytes = shape.shared_bytes;
  return cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...);
}

template <class... Arguments>
void expect_fault(const std::string& words, const Shape& shape, Arguments... arguments) {
  try {
    run(shape, arguments...);
    FAIL() << "no fault, expected: " << words;
  } catch (const Fault& fault) {
    EXPECT_THAT(fault.what(), ::testing::HasSubstr(words));
  }
}

void reverse(float* values, bool with_barrier) {
  SharedMemory memory;
  const Shared<float> copy = memory.take<float>(blockDim.x);
  copy[threadIdx.x] = values[threadIdx.x];
  if (with_barrier) __syncthreads();
  values[threadIdx.x] = copy[blockDim.x - 1 - threadIdx.x];
}

TEST(Simt, ABarrierOrdersSharedMemory) {
  std::vector<float> values(64), expected(64);
  std::iota(values.begin(), values.end(), 0.0f);
  std::iota(expected.rbegin(), expected.rend(), 0.0f);
  run({.shared_bytes = 256}, reverse, values.data(), true);
  EXPECT_EQ(values, expected);
}

void mark(bool* ran) { *ran = true; }

TEST(Simt, GridsAndBlocksThatNoDeviceTakes) {
  bool ran = false;
  for (const Shape& shape :
       {Shape{.blocks = 1u << 31}, {.blocks_y = 65536}, {.blocks_z = 65536}, {.threads = 1056}}) {
    EXPECT_EQ(run(shape, mark, &ran), cudaErrorInvalidConfiguration);
    EXPECT_FALSE(ran);
  }
}

TEST(Simt, AMissingBarrierIsAFaultInEveryOrder) {
  std::vector<float> values(64);
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    simt::set_seed(seed);
    EXPECT_THROW(run({.shared_bytes = 256}, reverse, values.data(), false), Fault) << seed;
  }
}

void write_after_read(float* values) {
  SharedMemory memory;
  const Shared<float> one = memory.take<float>(1);
  if (threadIdx.x == 0) one[0] = 1;
  __syncthreads();
  values[threadIdx.x] = one[0];
  if (threadIdx.x == 5) one[0] = 2;
}

TEST(Simt, AWriteThatOthersMayStillReadIsAFault) {
  std::vector<float> values(64);
  expect_fault("without a barrier", {.shared_bytes = 16}, write_after_read, values.data());
}

void read_unwritten(float* values) {
  SharedMemory memory;
  const Shared<float> two = memory.take<float>(2);
  if (threadIdx.x == 0) two[0] = 1;
  __syncthreads();
  values[threadIdx.x] = two[1];
}

TEST(Simt, AReadOfUnwrittenSharedMemoryIsReported) {
  std::vector<float> values(64);
  expect_fault("nobody wrote", {.shared_bytes = 16}, read_unwritten, values.data());
}

void out_of_bounds() {
  SharedMemory memory;
  const Shared<float> four = memory.take<float>(4);
  four[static_cast<int>(threadIdx.x)] = 1;
}
void too_much() {
  SharedMemory memory;
  memory.take<float>(4);
  memory.take<float>(1);
}

TEST(Simt, SharedMemoryEndsWhereTheLaunchSaid) {
  expect_fault("outside shared memory", {.shared_bytes = 16}, out_of_bounds);
  expect_fault("takes 32 bytes", {.shared_bytes = 16}, too_much);
}

TEST(Simt, MoreSharedMemoryThanADeviceHasIsSaid) {
  core::Context context({core::DeviceKind::kCuda, 0});
  EXPECT_THAT(
      [&] { core::launch(context, {.shared_bytes = 200 << 10}, too_much); },
      ::testing::ThrowsMessage<core::Error>(::testing::HasSubstr("204800 bytes of shared memory")));
}

/// Two copies in groups of their own; all but the latest `kPending` are waited for, then `read`.
template <int kPending>
void copy_two(const float* from, float* to, int read) {
  SharedMemory memory;
  const Shared<float> eight = memory.take<float>(8);
  if (threadIdx.x == 0) {
    for (int i = 0; i < 2; ++i) {
      core::device::copy_async(eight + i * 4, from + i * 4);
      core::device::copy_async_commit();
    }
    core::device::copy_async_wait<kPending>();
  }
  __syncthreads();
  to[threadIdx.x] = eight[read];
}

TEST(Simt, AnAsynchronousCopyArrivesWhenItsGroupIsWaitedFor) {
  alignas(16) const float from[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  std::vector<float> values(64);
  const Shape shape{.shared_bytes = 32};
  run(shape, copy_two<0>, from, values.data(), 7);
  EXPECT_EQ(values[63], 8);
  run(shape, copy_two<1>, from, values.data(), 3);
  EXPECT_EQ(values[63], 4);
  expect_fault("on its way", shape, copy_two<1>, from, values.data(), 7);
  expect_fault("on its way", shape, copy_two<2>, from, values.data(), 3);
}

void load_four(const float* values, float* sum) {
  const auto pack = core::device::Pack<float, 4>::load(values);
  *sum = pack.value[0] + pack.value[3];
}

TEST(Simt, VectorAccessesMustBeAligned) {
  alignas(16) const float values[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  float sum = 0;
  run({.threads = 1}, load_four, values, &sum);
  EXPECT_EQ(sum, 5);
  expect_fault("not aligned", {.threads = 1}, load_four, values + 1, &sum);
}

void half_a_barrier() {
  if (threadIdx.x < 32) __syncthreads();
}
void half_a_warp(float* values) {
  if (threadIdx.x % 2 == 0) {
    values[threadIdx.x] = core::device::warp_sum(1.0f);
  } else {
    __syncwarp();
  }
}

TEST(Simt, BarriersThatNotAllReachAreFaults) {
  expect_fault("", {}, half_a_barrier);
  std::vector<float> values(64);
  expect_fault("lanes of a warp meet", {}, half_a_warp, values.data());
}

void sums(float* values, float* total) {
  SharedMemory memory;
  const Shared<float> scratch = memory.take<float>(32);
  const float sum = core::device::block_sum(values[threadIdx.x], scratch);
  const float again = core::device::block_sum(1.0f, scratch);
  if (threadIdx.x == 17) total[0] = sum, total[1] = again;
}
void lanes(int* up, int* down, unsigned* votes) {
  const int lane = static_cast<int>(threadIdx.x);
  up[lane] = __shfl_up_sync(0xffffffffu, lane, 3);
  down[lane] = __shfl_down_sync(0xffffffffu, lane, 3);
  votes[lane] = __ballot_sync(0xffffffffu, lane % 3 == 0);
}

TEST(Simt, ShufflesAndVotesAreAPlainLoop) {
  std::vector<float> values(96), total(2);
  std::iota(values.begin(), values.end(), 1.0f);
  run({.threads = 96, .shared_bytes = 128}, sums, values.data(), total.data());
  EXPECT_EQ(total, (std::vector<float>{96 * 97 / 2, 96}));
  std::vector<int> up(32), down(32);
  std::vector<unsigned> votes(32);
  run({.threads = 32}, lanes, up.data(), down.data(), votes.data());
  for (int lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(up[lane], lane < 3 ? lane : lane - 3);
    EXPECT_EQ(down[lane], lane > 28 ? lane : lane + 3);
    EXPECT_EQ(votes[lane], 0x49249249u);
  }
}

template <class T>
void product(const float* a, const float* b, float* c, int kind) {
  using kernels::cuda::ssd::Tile;
  SharedMemory memory;
  const Tile<T> left{memory.take<T>(Tile<T>::kElements)}, right{memory.take<T>(Tile<T>::kElements)};
  kernels::cuda::ssd::load_tile(left, a, 64, {64, 64}, false);
  kernels::cuda::ssd::load_tile(right, b, 64, {64, 64}, false);
  __syncthreads();
  kernels::cuda::ssd::Accumulator result;
  const kernels::cuda::ssd::ProductExtent all{64, 64, 64};
  using kernels::cuda::ssd::multiply;
  if (kind == 0) multiply<false, false>(result, left, right, all);
  if (kind == 1) multiply<true, false>(result, left, right, all);
  if (kind == 2) multiply<false, true>(result, left, right, all);
  if (kind == 3) multiply<true, true>(result, left, right, all);
  result.each([&](int row, int column, float& value) { c[row * 64 + column] = value; });
}

/// mma.sync with fragments from ldmatrix (bf16) or from single loads (tf32), all orientations.
template <class T>
void expect_products(double tolerance) {
  std::vector<float> a(64 * 64), b(64 * 64), c(64 * 64);
  for (size_t i = 0; i < a.size(); ++i) {
    a[i] = static_cast<float>(static_cast<T>(static_cast<float>(core::normal({.seed = 1}, i))));
    b[i] = static_cast<float>(static_cast<T>(static_cast<float>(core::normal({.seed = 2}, i))));
  }
  for (int kind = 0; kind < 4; ++kind) {
    run({.threads = kernels::cuda::ssd::kThreads,
         .shared_bytes = 2 * kernels::cuda::ssd::Tile<T>::kBytes},
        product<T>, a.data(), b.data(), c.data(), kind);
    for (int i = 0; i < 64; ++i) {
      for (int j = 0; j < 64; ++j) {
        double expected = 0;
        for (int k = 0; k < 64; ++k) {
          expected += static_cast<double>(kind % 2 == 0 ? a[i * 64 + k] : a[k * 64 + i]) *
                      static_cast<double>(kind / 2 == 0 ? b[k * 64 + j] : b[j * 64 + k]);
        }
        ASSERT_NEAR(c[i * 64 + j], expected, tolerance) << kind << ": " << i << ", " << j;
      }
    }
  }
}

TEST(Simt, MatrixProductsAreAPlainLoop) {
  expect_products<core::BFloat16>(1e-4);  // the operands are exact
  expect_products<float>(1e-4);
}

void record(int* order, int* next) { order[(*next)++] = static_cast<int>(threadIdx.x); }

TEST(Simt, ThreadsRunInManyOrders) {
  std::set<std::vector<int>> orders;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    simt::set_seed(seed);
    std::vector<int> order(64);
    int next = 0;
    run({}, record, order.data(), &next);
    orders.insert(order);
    std::sort(order.begin(), order.end());
    for (int i = 0; i < 64; ++i) EXPECT_EQ(order[i], i);
  }
  EXPECT_EQ(orders.size(), 10u);
}

TEST(SimtDeathTest, TheHostCannotTouchDeviceMemory) {
  void* block = nullptr;
  cudaMalloc(&block, 64);
  EXPECT_DEATH(static_cast<volatile float*>(block)[0] = 1, "");
  std::vector<float> host(16, 3), back(16);
  cudaMemcpyAsync(block, host.data(), 64, cudaMemcpyDefault, nullptr);
  cudaMemcpyAsync(back.data(), block, 64, cudaMemcpyDefault, nullptr);
  EXPECT_EQ(back, host);
  cudaFree(block);
}

}  // namespace
}  // namespace longhaul::testing
