#include <algorithm>

#include "kernels/core/block_sum.cuh"
#include "kernels/core/pack.cuh"
#include "kernels/cuda_sizes.h"
#include "kernels/optimizer/adamw.h"

namespace longhaul::kernels::cuda {
namespace {

constexpr int64_t kScratch = 32 * sizeof(double);

/// A buffer whose blocks of elements are summed by as many blocks of threads, from `first` on.
struct Part {
  const void* values;
  int64_t count, block;
  int first;
  bool is_bf16;
};

/// What one launch sums: arguments of a kernel are 4 KB at most.
struct Parts {
  static constexpr int kMost = 96;
  Part part[kMost];
  int count = 0;

  /// The part that has block `b`: the last that begins there or before.
  __device__ int of_block(int b) const {
    int low = 0, high = count;
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      (part[middle].first <= b ? low : high) = middle;
    }
    return low;
  }
};

/// The order depends on the block's length alone.
template <class T>
__device__ double sum_block(const Part& part, int b, core::device::Shared<double> scratch) {
  const auto* values = static_cast<const T*>(part.values);
  const int64_t begin = b * part.block, end = min(part.count, begin + part.block);
  double sum = 0;
  for (int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) {
    const auto value = static_cast<double>(core::device::to_float(values[i]));
    sum += value * value;
  }
  return core::device::block_sum(sum, scratch);
}

__global__ void block_sums(Parts parts, double* sums) {
  core::device::SharedMemory memory;
  const auto scratch = memory.take<double>(32);
  const auto block = static_cast<int>(blockIdx.x);
  const Part& part = parts.part[parts.of_block(block)];
  const int b = block - part.first;
  const double sum = part.is_bf16 ? sum_block<core::BFloat16>(part, b, scratch)
                                  : sum_block<float>(part, b, scratch);
  if (threadIdx.x == 0) sums[block] = sum;
}

/// Block: one part.
__global__ void totals(Parts parts, const double* sums, double* of_parts) {
  core::device::SharedMemory memory;
  const auto scratch = memory.take<double>(32);
  const Part& part = parts.part[blockIdx.x];
  const int64_t count = (part.count + part.block - 1) / part.block;
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) sum += sums[part.first + i];
  sum = core::device::block_sum(sum, scratch);
  if (threadIdx.x == 0) of_parts[blockIdx.x] = sum;
}

bool is_bf16(std::string_view op, core::DType dtype) {
  return core::dispatch_device(op, dtype,
                               []<class T>(T) { return std::is_same_v<T, core::BFloat16>; });
}

/// Collects parts and starts a launch for as many as fit into one.
class Launches {
 public:
  /// of_blocks: all blocks of all parts; of_parts: or null.
  Launches(core::Context& context, double* of_blocks, double* of_parts)
      : context_(context), of_blocks_(of_blocks), of_parts_(of_parts) {}

  void add(Part part) {
    part.first = static_cast<int>(blocks_);
    parts_.part[parts_.count++] = part;
    blocks_ += core::ceil_div(part.count, part.block);
    if (parts_.count == Parts::kMost) start();
  }
  void start() {
    if (parts_.count == 0) return;
    core::launch(context_, {.blocks = blocks_, .shared_bytes = kScratch}, block_sums, parts_,
                 of_blocks_);
    if (of_parts_ != nullptr) {
      core::launch(context_, {.blocks = parts_.count, .shared_bytes = kScratch}, totals, parts_,
                   of_blocks_, of_parts_);
      of_parts_ += parts_.count;
    }
    of_blocks_ += blocks_;
    blocks_ = parts_.count = 0;
  }

 private:
  core::Context& context_;
  Parts parts_;
  int64_t blocks_ = 0;
  double *of_blocks_, *of_parts_;
};

}  // namespace

std::vector<double> sums_of_squares(core::Context& context,
                                    std::span<const core::TensorView> views) {
  const auto count = static_cast<int64_t>(views.size());
  int64_t blocks = 0;
  for (const core::TensorView& x : views) blocks += squares_blocks(x.elements());
  const core::Tensor sums(context, core::DType::kF64, {count + blocks});
  Launches launches(context, sums.data<double>() + count, sums.data<double>());
  for (const core::TensorView& x : views) {
    launches.add({.values = x.raw(),
                  .count = x.elements(),
                  .block = kSquaresBlock,
                  .first = 0,
                  .is_bf16 = is_bf16("sums_of_squares", x.dtype())});
  }
  launches.start();
  std::vector<double> results(views.size());
  if (count > 0) {
    core::copy(context, sums.view().slice(0, 0, count),
               core::TensorView(results.data(), core::DType::kF64, {count}));
  }
  return results;
}

void block_sums_of_squares(core::Context& context, std::span<const BlockSums> parts) {
  int64_t blocks = 0;
  for (const BlockSums& part : parts) blocks += part.sums.elements();
  if (blocks == 0) return;
  const core::Tensor sums(context, core::DType::kF64, {blocks});
  Launches launches(context, sums.data<double>(), nullptr);
  for (const BlockSums& part : parts) {
    launches.add({.values = part.x.raw(),
                  .count = part.x.elements(),
                  .block = part.block,
                  .first = 0,
                  .is_bf16 = is_bf16("block_sums_of_squares", part.x.dtype())});
  }
  launches.start();
  std::vector<double> host(static_cast<size_t>(blocks));
  core::copy(context, sums, core::TensorView(host.data(), core::DType::kF64, {blocks}));
  const double* next = host.data();
  for (const BlockSums& part : parts) {
    std::copy_n(next, part.sums.elements(), part.sums.data<double>());
    next += part.sums.elements();
  }
}

}  // namespace longhaul::kernels::cuda
