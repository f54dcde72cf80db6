#include <bit>

#include "kernels/core/pack.cuh"
#include "kernels/embedding/embedding.h"

namespace longhaul::kernels::cuda {
namespace {

using core::device::Pack;

/// Tokens come from files: one that the vocabulary does not hold would read or write foreign
/// memory.
void check_tokens(core::Context& context, const core::TensorView& tokens, int64_t vocabulary) {
  const int64_t rows = tokens.elements();
  std::vector<int32_t> host(static_cast<size_t>(rows));
  core::copy(context, tokens, core::TensorView(host.data(), core::DType::kI32, {rows}));
  for (int64_t r = 0; r < rows; ++r) {
    const int32_t token = host[static_cast<size_t>(r)];
    if (token < 0 || token >= vocabulary) {
      throw core::Error(core::message("embedding: token ", token, " in row ", r,
                                      " is outside the vocabulary [0, ", vocabulary, ")"));
    }
  }
}

template <class T, class Y, int N>
struct LookUp {
  const int32_t* tokens;
  const T* weight;
  Y* y;
  int64_t width;
  __device__ void operator()(int64_t i) const {
    const int64_t packs = width / N, row = i / packs, column = i % packs * N;
    const auto found = Pack<T, N>::load(weight + tokens[row] * width + column);
    Pack<Y, N> copy;
    for (int k = 0; k < N; ++k) copy.value[k] = found.value[k];
    copy.store(y + row * width + column);
  }
};

/// key = (token, row); filled up with keys that sort behind all others.
struct MakeKeys {
  const int32_t* tokens;
  uint64_t* keys;
  int64_t rows;
  __device__ void operator()(int64_t i) const {
    keys[i] =
        i < rows ? static_cast<uint64_t>(tokens[i]) << 32 | static_cast<uint64_t>(i) : ~uint64_t{0};
  }
};

/// A bitonic sort of a power of two of keys: of a pair, the lower at place `low`, in the steps of
/// one size. Where that bit of the place is 0 keys ascend.
__device__ inline bool is_out_of_order(uint64_t a, uint64_t b, int64_t low, int64_t size) {
  return (a > b) == ((low & size) == 0);
}

/// One step of the sort: every pair of keys that are `distance` apart.
struct SortStep {
  uint64_t* keys;
  int64_t size, distance;
  __device__ void operator()(int64_t i) const {
    const int64_t low = i / distance * 2 * distance + i % distance, high = low + distance;
    const uint64_t a = keys[low], b = keys[high];
    if (!is_out_of_order(a, b, low, size)) return;
    keys[low] = b;
    keys[high] = a;
  }
};

/// Keys that a block of threads has in shared memory, and its threads.
constexpr int kSortedAtOnce = 4096, kSortThreads = 1024;

/// The steps of all sizes from `size` to `last_size` whose pairs lie within the block's keys, of
/// which there are `count`, a power of two.
__global__ void __launch_bounds__(kSortThreads)
    sort_within(uint64_t* all, int count, int64_t size, int64_t last_size) {
  core::device::SharedMemory memory;
  const auto keys = memory.take<uint64_t>(count);
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * count;
  const auto thread = static_cast<int>(threadIdx.x);
  for (int i = thread; i < count; i += kSortThreads) keys[i] = all[begin + i];
  for (; size <= last_size; size *= 2) {
    for (int distance = static_cast<int>(min(size, static_cast<int64_t>(count))) / 2; distance > 0;
         distance /= 2) {
      __syncthreads();
      for (int i = thread; i < count / 2; i += kSortThreads) {
        const int within = i & (distance - 1), low = 2 * i - within, high = low + distance;
        const uint64_t a = keys[low], b = keys[high];
        if (!is_out_of_order(a, b, begin + low, size)) continue;
        keys[low] = b;
        keys[high] = a;
      }
    }
  }
  __syncthreads();
  for (int i = thread; i < count; i += kSortThreads) all[begin + i] = keys[i];
}

/// The thread of a token's first key adds all its rows, in order: kAhead of them are read at once,
/// and the keys of the next as many meanwhile.
template <class T>
struct AddRows {
  static constexpr int kAhead = 8;
  static constexpr uint32_t kNone = ~uint32_t{0};
  const uint64_t* keys;
  const T* dy;
  float* dweight;
  int64_t rows, width;
  __device__ void operator()(int64_t i) const {
    const int64_t position = i / width, column = i % width;
    const uint64_t token = keys[position] >> 32;
    if (position > 0 && keys[position - 1] >> 32 == token) return;
    float* to = dweight + static_cast<int64_t>(token) * width + column;
    float sum = *to;
    uint32_t next[kAhead];
    read_rows(token, position, next);
    for (int64_t p = position + kAhead; next[0] != kNone; p += kAhead) {
      uint32_t row[kAhead];
      float value[kAhead];
#pragma unroll
      for (int u = 0; u < kAhead; ++u) {
        row[u] = next[u];
        if (row[u] != kNone) value[u] = core::device::to_float(dy[row[u] * width + column]);
      }
      read_rows(token, p, next);
#pragma unroll
      for (int u = 0; u < kAhead; ++u) {
        if (row[u] != kNone) sum += value[u];
      }
    }
    *to = sum;
  }
  /// Rows of the keys from `position` on, kNone behind the token's last.
  __device__ void read_rows(uint64_t token, int64_t position, uint32_t (&row)[kAhead]) const {
#pragma unroll
    for (int u = 0; u < kAhead; ++u) {
      const uint64_t key = position + u < rows ? keys[position + u] : ~uint64_t{0};
      row[u] = key >> 32 == token ? static_cast<uint32_t>(key) : kNone;
    }
  }
};

/// Rows sorted by token, rows of a token in order: a sum without atomics that has one order.
core::Tensor sorted_keys(core::Context& context, const core::TensorView& tokens) {
  const int64_t rows = tokens.elements();
  const auto count = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(rows)));
  core::Tensor storage(context, core::DType::kF64, {count});
  auto* keys = static_cast<uint64_t*>(storage.view().raw());
  core::for_each(context, count, MakeKeys{tokens.data<int32_t>(), keys, rows});
  const auto within = static_cast<int>(std::min<int64_t>(count, kSortedAtOnce));
  const auto sort_in_blocks = [&](int64_t size, int64_t last_size) {
    core::launch(context,
                 {.blocks = count / within,
                  .threads = kSortThreads,
                  .shared_bytes = within * static_cast<int64_t>(sizeof(uint64_t))},
                 sort_within, keys, within, size, last_size);
  };
  sort_in_blocks(2, within);
  for (int64_t size = int64_t{2} * within; size <= count; size *= 2) {
    for (int64_t distance = size / 2; distance >= within; distance /= 2) {
      core::for_each(context, count / 2, SortStep{keys, size, distance});
    }
    sort_in_blocks(size, size);
  }
  return storage;
}

}  // namespace

void embedding_forward(core::Context& context, const EmbeddingForward& args) {
  if (!args.tokens_checked) check_tokens(context, args.tokens, args.weight.extent(0));
  const int64_t rows = args.y.extent(0), width = args.y.extent(1);
  core::dispatch_wide(
      "embedding_forward", args.weight.dtype(), args.y.dtype(), [&]<class T, class Y>(T, Y) {
        core::with_pack<Y>(
            [&]<int N>(std::integral_constant<int, N>) {
              core::for_each(context, rows * (width / N),
                             LookUp<T, Y, N>{args.tokens.data<int32_t>(), args.weight.data<T>(),
                                             args.y.data<Y>(), width});
            },
            args.weight, args.y);
      });
}

void embedding_backward(core::Context& context, const EmbeddingBackward& args) {
  const int64_t rows = args.dy.extent(0), width = args.dy.extent(1);
  if (!args.tokens_checked) check_tokens(context, args.tokens, args.dweight.extent(0));
  if (rows == 0 || width == 0) return;
  const core::Tensor keys = sorted_keys(context, args.tokens);
  core::dispatch_device("embedding_backward", args.dy.dtype(), [&]<class T>(T) {
    core::for_each(context, rows * width,
                   AddRows<T>{static_cast<const uint64_t*>(keys.view().raw()), args.dy.data<T>(),
                              args.dweight.data<float>(), rows, width});
  });
}

}  // namespace longhaul::kernels::cuda
