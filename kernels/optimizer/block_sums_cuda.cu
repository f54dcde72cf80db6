#include "kernels/core/block_sum.cuh"
#include "kernels/core/pack.cuh"
#include "kernels/cuda_sizes.h"
#include "kernels/optimizer/adamw.h"

namespace longhaul::kernels::cuda {
namespace {

constexpr int64_t kScratch = 32 * sizeof(double);

/// One block of threads a block of elements: the order depends on the block's length alone.
template <class T>
__global__ void block_sums(const T* values, int64_t count, int64_t block, double* sums) {
  core::device::SharedMemory memory;
  const auto scratch = memory.take<double>(32);
  const int64_t begin = blockIdx.x * block, end = min(count, begin + block);
  double sum = 0;
  for (int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) {
    const auto value = static_cast<double>(core::device::to_float(values[i]));
    sum += value * value;
  }
  sum = core::device::block_sum(sum, scratch);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

__global__ void total(const double* sums, int64_t count, double* target) {
  core::device::SharedMemory memory;
  const auto scratch = memory.take<double>(32);
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) sum += sums[i];
  sum = core::device::block_sum(sum, scratch);
  if (threadIdx.x == 0) *target = sum;
}

}  // namespace

std::vector<double> sums_of_squares(core::Context& context,
                                    std::span<const core::TensorView> views) {
  const auto count = static_cast<int64_t>(views.size());
  int64_t blocks = 0;
  for (const core::TensorView& x : views) blocks += squares_blocks(x.elements());
  const core::Tensor sums(context, core::DType::kF64, {count + blocks});
  double* of_view = sums.data<double>();
  double* of_blocks = of_view + count;
  for (const core::TensorView& x : views) {
    const int64_t own = squares_blocks(x.elements());
    core::dispatch_device("sums_of_squares", x.dtype(), [&]<class T>(T) {
      core::launch(context, {.blocks = own, .shared_bytes = kScratch}, block_sums<T>, x.data<T>(),
                   x.elements(), kSquaresBlock, of_blocks);
    });
    core::launch(context, {.shared_bytes = kScratch}, total, of_blocks, own, of_view);
    of_view += 1;
    of_blocks += own;
  }
  std::vector<double> results(views.size());
  if (count > 0) {
    core::copy(context, sums.view().slice(0, 0, count),
               core::TensorView(results.data(), core::DType::kF64, {count}));
  }
  return results;
}

void block_sums_of_squares(core::Context& context, const BlockSums& args) {
  const int64_t blocks = args.sums.elements();
  const core::Tensor sums(context, core::DType::kF64, {blocks});
  core::dispatch_device("block_sums_of_squares", args.x.dtype(), [&]<class T>(T) {
    core::launch(context, {.blocks = blocks, .shared_bytes = kScratch}, block_sums<T>,
                 args.x.data<T>(), args.x.elements(), args.block, sums.data<double>());
  });
  if (blocks > 0) core::copy(context, sums, args.sums);
}

}  // namespace longhaul::kernels::cuda
