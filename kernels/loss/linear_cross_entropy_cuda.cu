#include <algorithm>
#include <limits>

#include "kernels/core/activations.cuh"
#include "kernels/core/block_sum.cuh"
#include "kernels/core/pack.cuh"
#include "kernels/cuda_sizes.h"
#include "kernels/linear/gemm_cuda.h"
#include "kernels/loss/linear_cross_entropy.h"

namespace longhaul::kernels::cuda {
namespace {

using core::device::Shared;
using core::device::SharedMemory;

template <class T>
struct Rows {
  const float* logits;  ///< [rows, vocabulary], rows of whole packs
  T* gradient;          ///< the same shape, or null; for fp32 the logits themselves
  const int32_t* labels;
  double* losses;              ///< [rows]
  float* loss;                 ///< or null
  int32_t* predicted;          ///< or null
  int64_t vocabulary, stride;  ///< of logits and gradient
  double scale;
  const double* deferred_scale;  ///< or null: scale
};

/// First position of the largest value over the block, in every thread.
__device__ int64_t first_place(const float* row, int64_t count, float largest,
                               Shared<int32_t> places) {
  int32_t place = std::numeric_limits<int32_t>::max();
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) {
    if (row[i] == largest) {
      place = static_cast<int32_t>(i);
      break;
    }
  }
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    place = min(place, __shfl_xor_sync(core::device::kAllLanes, place, lanes));
  }
  if (threadIdx.x % 32 == 0) places[threadIdx.x / 32] = place;
  __syncthreads();
  for (unsigned w = 0; w < blockDim.x / 32; ++w)
    place = min(place, static_cast<int32_t>(places[w]));
  __syncthreads();
  return min(static_cast<int64_t>(place), count - 1);  // behind the end if all are NaN
}

/// Largest value so far, and Σ e^{value − largest}; where all values are −∞ the sum is 0.
struct Softmax {
  float largest = -std::numeric_limits<float>::infinity(), sum = 0;

  template <int N>
  __device__ void add(const core::device::Pack<float, N>& pack) {
    float most = largest;
    for (int k = 0; k < N; ++k) most = fmaxf(most, pack.value[k]);
    sum *= scale_to(most);
    // e^{−∞ − (−∞)} is not 0 by itself; NaN must not be lost.
    const float reference = most == -std::numeric_limits<float>::infinity() ? 0.0f : most;
    for (int k = 0; k < N; ++k) sum += power(pack.value[k], reference);
    largest = most;
  }
  /// What e^{· − largest} is to be multiplied by for another reference.
  __device__ float scale_to(float reference) const {
    return largest == reference ? 1.0f : power(largest, reference);
  }
  /// e^{value − reference}; the rounding of the reference's product is the same for all values.
  __device__ static float power(float value, float reference) {
    constexpr float kLog2E = core::device::kLog2E;
    return core::device::fast_exp2(fmaf(value, kLog2E, -reference * kLog2E));
  }
};

/// Logits of a row that stay in shared memory between the two readings: 160 KiB, which leaves one
/// block to a multiprocessor, so that what does not fit is still in the L2 cache.
constexpr int kHeldLogits = 40960;
/// Packs that a thread reads before it works on the first.
constexpr int kLogitsBatch = 4;
constexpr int kMostRowThreads = 1024;
/// For the sums over a block: a float, a double and a place of each warp.
constexpr int64_t kScratch = 32 * (4 + 8 + 4);

/// Logits that a thread reads at once; of the last in a row, what lies behind the end is anything.
constexpr int kPack = 4;
using Logits = core::device::Pack<float, kPack>;
/// −∞ in place of that.
__device__ inline void cut(Logits& pack, int there) {
  if (there >= kPack) return;
  for (int k = 0; k < kPack; ++k) {
    if (k >= there) pack.value[k] = -std::numeric_limits<float>::infinity();
  }
}

/// One block a row: read once for the sum; for the gradient from what was kept, or again.
template <class T>
__global__ void __launch_bounds__(kMostRowThreads) finish_rows(Rows<T> args) {
  SharedMemory memory;
  const Shared<float> scratch = memory.take<float>(32);
  const Shared<double> sums = memory.take<double>(32);
  const Shared<int32_t> places = memory.take<int32_t>(32);
  const int count = static_cast<int>(args.vocabulary), held_count = min(count, kHeldLogits);
  const Shared<float> held = memory.take<float>((held_count + kPack - 1) / kPack * kPack);
  const int64_t row = blockIdx.x;
  const int first = static_cast<int>(threadIdx.x) * kPack,
            step = static_cast<int>(blockDim.x) * kPack;
  const float* logits = args.logits + row * args.stride;
  const int32_t label = args.labels[row];
  Softmax own;
  for (int from = first; from < count; from += kLogitsBatch * step) {
    Logits values[kLogitsBatch];
#pragma unroll
    for (int u = 0; u < kLogitsBatch; ++u) {
      const int i = from + u * step;
      if (i < count) values[u] = Logits::load(logits + i);
    }
#pragma unroll
    for (int u = 0; u < kLogitsBatch; ++u) {
      const int i = from + u * step;
      if (i >= count) break;
      cut(values[u], count - i);
      own.add(values[u]);
      if (i < held_count) core::device::write_words(held + i, values[u].words());
    }
  }
  const float largest = core::device::block_max(own.largest, scratch);
  const double sum =
      core::device::block_sum(static_cast<double>(own.sum * own.scale_to(largest)), sums);
  if (args.predicted != nullptr) {
    const int64_t place = first_place(logits, count, largest, places);
    if (threadIdx.x == 0) args.predicted[row] = static_cast<int32_t>(place);
  }
  const float label_logit = label >= 0 ? logits[label] : 0.0f;
  if (threadIdx.x == 0) {
    const double below = static_cast<double>(label_logit) - static_cast<double>(largest);
    const double loss = label >= 0 ? log(sum) - below : 0.0;
    args.losses[row] = loss;
    if (args.loss != nullptr) args.loss[row] = static_cast<float>(loss);
  }
  if (args.gradient == nullptr) return;
  __syncthreads();  // fp32 gradients take the logits' place, also that of the label's
  const double given = args.deferred_scale == nullptr ? args.scale : *args.deferred_scale;
  const auto factor = static_cast<float>(given / sum);
  const auto scale = static_cast<float>(given);
  T* gradient = args.gradient + row * args.stride;
  for (int i = first; i < count; i += step) {
    const Logits values = i < held_count ? Logits::from(core::device::read_words(held + i))
                                         : Logits::load(logits + i);
    core::device::Pack<T, kPack> result;
    for (int k = 0; k < kPack; ++k) {
      float value = label >= 0 ? Softmax::power(values.value[k], largest) * factor : 0.0f;
      if (i + k == label) value -= scale;
      result.value[k] = value;
    }
    result.store(gradient + i);
  }
}

int row_threads(int64_t vocabulary) { return vocabulary >= 8192 ? kMostRowThreads : 256; }

/// Labels come from files: one that the vocabulary does not hold would read foreign memory.
std::vector<int32_t> checked_labels(core::Context& context, const core::TensorView& labels,
                                    int64_t vocabulary) {
  const int64_t rows = labels.elements();
  std::vector<int32_t> host(static_cast<size_t>(rows));
  core::copy(context, labels, core::TensorView(host.data(), core::DType::kI32, {rows}));
  for (int64_t r = 0; r < rows; ++r) {
    const int32_t label = host[static_cast<size_t>(r)];
    if (label < -1 || label >= vocabulary) {
      throw core::Error(core::message("cross_entropy: label ", label, " in row ", r,
                                      " is neither -1 nor in the vocabulary [0, ", vocabulary,
                                      ")"));
    }
  }
  return host;
}

/// What is held of the rows at once.
struct Held {
  CrossEntropyRows rows;
  core::Tensor logits;   ///< [rows.logits, stride]
  core::Tensor rounded;  ///< [rows.gradients, stride] as the products read it; fp32: the logits
};

/// Losses of rows [begin, end), and the gradient [end − begin, vocabulary] of their logits, which
/// may be absent.
template <class T>
void finish_block(core::Context& context, const LinearCrossEntropy& args,
                  const core::TensorView& losses, const core::TensorView& scores,
                  const core::TensorView& gradient, int64_t begin) {
  const int64_t rows = scores.extent(0), vocabulary = scores.extent(1);
  gemm(context, {.transpose_b = true,
                 .a = args.hidden.slice(0, begin, begin + rows),
                 .b = args.weight,
                 .c = scores});
  const Rows<T> of_rows{
      .logits = scores.data<float>(),
      .gradient = core::optional_pointer<T>(gradient),
      .labels = args.labels.data<int32_t>() + begin,
      .losses = losses.data<double>() + begin,
      .loss = args.loss ? args.loss.data<float>() + begin : nullptr,
      .predicted = args.predicted ? args.predicted.data<int32_t>() + begin : nullptr,
      .vocabulary = vocabulary,
      .stride = logits_stride(vocabulary),
      .scale = args.scale,
      .deferred_scale = args.deferred == nullptr ? nullptr : args.deferred->scale.data<double>()};
  const int64_t held = core::ceil_div(std::min<int64_t>(vocabulary, kHeldLogits), kPack) * 16;
  core::launch(
      context,
      {.blocks = rows, .threads = row_threads(vocabulary), .shared_bytes = kScratch + held},
      finish_rows<T>, of_rows);
}

/// Rows [begin, end): blocks of logits one after another, then the gradients of all.
template <class T>
void run_part(core::Context& context, const LinearCrossEntropy& args,
              const core::TensorView& losses, const Held& held, int64_t begin, int64_t end) {
  const bool backward = args.dhidden || args.dweight;
  const int64_t vocabulary = args.weight.extent(0), step = held.rows.logits;
  const core::TensorView all = (held.rounded ? held.rounded : held.logits).view();
  const core::TensorView gradient = all.slice(0, 0, end - begin).slice(1, 0, vocabulary);
  for (int64_t first = begin; first < end; first += step) {
    const int64_t last = std::min(end, first + step);
    const core::TensorView scores =
        held.logits.view().slice(0, 0, last - first).slice(1, 0, vocabulary);
    finish_block<T>(context, args, losses, scores,
                    backward ? gradient.slice(0, first - begin, last - begin) : core::TensorView{},
                    first);
  }
  if (args.dhidden) {
    gemm(context, {.a = gradient, .b = args.weight, .c = args.dhidden.slice(0, begin, end)});
  }
  if (args.dweight) {
    const bool adds = begin > 0 || !args.overwrite_dweight;
    gemm(context, {.transpose_a = true,
                   .a = gradient,
                   .b = args.hidden.slice(0, begin, end),
                   .addend = adds ? args.dweight : core::TensorView{},
                   .c = args.dweight});
  }
}

/// losses [rows] fp64.
void run(core::Context& context, const LinearCrossEntropy& args, const CrossEntropyRows& rows,
         const core::TensorView& losses) {
  const int64_t all = args.hidden.extent(0), stride = logits_stride(args.weight.extent(0));
  core::dispatch_device("linear_cross_entropy", args.hidden.dtype(), [&]<class T>(T) {
    Held held{.rows = rows, .logits = {context, core::DType::kF32, {rows.logits, stride}}};
    if (core::kDTypeOf<T> != core::DType::kF32) {
      held.rounded = core::Tensor(context, core::kDTypeOf<T>, {rows.gradients, stride});
    }
    for (int64_t begin = 0; begin < all; begin += rows.gradients) {
      run_part<T>(context, args, losses, held, begin, std::min(all, begin + rows.gradients));
    }
  });
}

}  // namespace

LossSum linear_cross_entropy(core::Context& context, const LinearCrossEntropy& args) {
  return linear_cross_entropy(context, args,
                              cross_entropy_rows(args.hidden.extent(0), args.weight.extent(0),
                                                 args.hidden.dtype() == core::DType::kBF16));
}

LossSum linear_cross_entropy(core::Context& context, const LinearCrossEntropy& args,
                             const CrossEntropyRows& held) {
  const int64_t rows = args.hidden.extent(0);
  if (args.deferred != nullptr) {
    if (rows > 0) run(context, args, held, args.deferred->losses);
    return {};
  }
  const std::vector<int32_t> labels = checked_labels(context, args.labels, args.weight.extent(0));
  if (rows == 0) return {};
  const core::Tensor losses(context, core::DType::kF64, {rows});
  run(context, args, held, losses);
  std::vector<double> host(static_cast<size_t>(rows));
  core::copy(context, losses, core::TensorView(host.data(), core::DType::kF64, {rows}));
  LossSum total;
  for (size_t r = 0; r < host.size(); ++r) {
    total.sum += host[r];
    total.count += labels[r] >= 0;
  }
  return total;
}

}  // namespace longhaul::kernels::cuda
