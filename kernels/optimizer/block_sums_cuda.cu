#include "kernels/core/block_sum.cuh"
#include "kernels/core/pack.cuh"
#include "kernels/optimizer/adamw.h"

namespace longhaul::kernels::cuda {
namespace {

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

}  // namespace

void block_sums_of_squares(core::Context& context, const BlockSums& args) {
  const int64_t blocks = args.sums.elements();
  const core::Tensor sums(context, core::DType::kF64, {blocks});
  core::dispatch_device("block_sums_of_squares", args.x.dtype(), [&]<class T>(T) {
    core::launch(context, {.blocks = blocks, .shared_bytes = 32 * sizeof(double)}, block_sums<T>,
                 args.x.data<T>(), args.x.elements(), args.block, sums.data<double>());
  });
  if (blocks > 0) core::copy(context, sums, args.sums);
}

}  // namespace longhaul::kernels::cuda
