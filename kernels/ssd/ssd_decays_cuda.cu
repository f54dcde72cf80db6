// Decays, and the products C·B of all pairs of tokens of a chunk.
#include "kernels/ssd/ssd_device.cuh"

namespace longhaul::kernels::cuda::ssd {
namespace {

/// Tokens of a lane.
constexpr int kFew = 4;

/// Warp (head of a chunk of a sequence): 128 tokens at a time, a lane four that are adjacent.
__global__ void __launch_bounds__(kThreads)
    sum_log_decays(Geometry g, Tokens<const float> dt, const float* A_log, LogSum* sums) {
  const unsigned item = blockIdx.x * kWarps + threadIdx.x / 32;
  if (item >= static_cast<unsigned>(g.batch * g.chunks * g.heads)) return;
  const HeadPlace at(g, item);
  const int lane = static_cast<int>(threadIdx.x) % 32, padded = static_cast<int>(g.padded_chunk());
  const double rate = static_cast<double>(decay_rate(A_log[at.h])) * kLog2OfE;
  LogSum* to = sums + at.item * padded;
  double all_before = 0;
  for (int segment = 0; segment < padded; segment += 32 * kFew) {
    const int t = segment + lane * kFew;
    float read[kFew];
#pragma unroll
    for (int k = 0; k < kFew; ++k) {
      read[k] = t + k < at.tokens ? dt.at(at.b, at.c * g.chunk + t + k)[at.h] : 0.0f;
    }
    double value[kFew], own = 0;
#pragma unroll
    for (int k = 0; k < kFew; ++k) {
      // A bound far beyond where e^ℓ is 0 keeps the sums finite.
      value[k] = fmax(static_cast<double>(read[k]) * rate, -1e30);
      own += value[k];
    }
    // One lane after the other: tokens that forget nothing must have the very sum of the one
    // before.
    double before = all_before;
    for (int other = 0; other < 31; ++other) {
      const double sum = __shfl_sync(0xffffffffu, own, other);
      if (lane > other) before += sum;
    }
    all_before = __shfl_sync(0xffffffffu, before + own, 31);
    if (t >= padded) continue;
    double sum = 0;
#pragma unroll
    for (int k = 0; k < kFew; k += 2) {
      core::device::Words words;
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        sum += value[k + i];
        const double all = before + sum;
        const auto high = static_cast<float>(all);
        words.word[i * 2] = __float_as_uint(high);
        words.word[i * 2 + 1] =
            __float_as_uint(static_cast<float>(all - static_cast<double>(high)));
      }
      core::device::store_words(to + t + k, words);
    }
  }
}

/// Item: one head of one sequence.
struct SumChunks {
  Geometry g;
  Decays decays;
  float* log_decay;
  __device__ void operator()(int64_t i) const {
    const int64_t h = i % g.heads, b = i / g.heads;
    double sum = 0;
    for (int64_t c = 0; c < g.chunks; ++c) {
      sum += natural_log(decays.of(g.head_at(b, c, h))[decays.padded - 1]);
    }
    log_decay[i] = static_cast<float>(fmax(sum, -3.402823466e38));
  }
};

template <class T>
struct Gram {
  Geometry g;
  Tokens<const T> B, C;
  float* gram;
};

/// Block (tile pair of a chunk of a sequence, group).
template <class T>
__global__ void __launch_bounds__(kThreads, 3) gram_tiles(Gram<T> args) {
  constexpr int kAcross = 2;  // tiles of the state at once
  const Geometry& g = args.g;
  core::device::SharedMemory memory;
  const TileRow<T, kAcross> left{memory.take<T>(TileRow<T, kAcross>::kElements)},
      right{memory.take<T>(TileRow<T, kAcross>::kElements)};
  const auto pairs = static_cast<unsigned>(g.tile_pairs()),
             chunks = static_cast<unsigned>(g.chunks), chunk = blockIdx.x / pairs;
  const TileOfPair tile(static_cast<int>(blockIdx.x % pairs));
  const int b = static_cast<int>(chunk / chunks), c = static_cast<int>(chunk % chunks);
  const int tokens = static_cast<int>(g.tokens(c)), group = static_cast<int>(blockIdx.y);
  if (tile.I * kTile >= tokens) return;
  const int state = static_cast<int>(g.state);
  const int rows = min(tokens - tile.I * kTile, kTile);
  const int columns = min(tokens - tile.J * kTile, kTile);
  const T* C = args.C.at(b, c * g.chunk + tile.I * kTile) + group * state;
  const T* B = args.B.at(b, c * g.chunk + tile.J * kTile) + group * state;
  Accumulator result;
  for (int n = 0; n < state; n += kAcross * kTile) {
    const auto width = [&](int k) { return min(state - n - k * kTile, kTile); };
    for (int k = 0; k < kAcross && width(k) > 0; ++k) {
      begin_tile(left[k], C + n + k * kTile, args.C.token_stride, {rows, width(k)}, g.packed);
      begin_tile(right[k], B + n + k * kTile, args.B.token_stride, {columns, width(k)}, g.packed);
    }
    core::device::copy_async_commit();
    core::device::copy_async_wait<0>();
    __syncthreads();
    for (int k = 0; k < kAcross && width(k) > 0; ++k) {
      multiply<false, true>(result, left[k], right[k], {rows, columns, width(k)});
    }
    __syncthreads();
  }
  const int64_t side = g.padded_chunk();
  result.store(
      args.gram + g.group_at(b, c, group) * side * side + tile.I * kTile * side + tile.J * kTile,
      side, {kTile, kTile}, true);
}

}  // namespace

DecayStorage make_decays(core::Context& context, const Geometry& g, const core::TensorView& dt,
                         const core::TensorView& A_log) {
  const int64_t heads = g.batch * g.chunks * g.heads;
  core::Tensor memory(context, core::DType::kF32, {heads, g.padded_chunk(), 2});
  auto* sums = static_cast<LogSum*>(memory.view().raw());
  core::launch(context, {.blocks = core::ceil_div(heads, kWarps), .threads = kThreads},
               sum_log_decays, g, Tokens<const float>(dt), A_log.data<float>(), sums);
  return {.memory = std::move(memory), .decays = {.sums = sums, .padded = g.padded_chunk()}};
}

void store_log_decay(core::Context& context, const Geometry& g, const Decays& decays,
                     const core::TensorView& log_decay) {
  core::for_each(context, g.batch * g.heads, SumChunks{g, decays, log_decay.data<float>()});
}

template <class T>
core::Tensor make_gram(core::Context& context, const Geometry& g, const core::TensorView& B,
                       const core::TensorView& C) {
  const int64_t side = g.padded_chunk();
  core::Tensor gram(context, core::DType::kF32, {g.batch * g.chunks * g.groups, side, side});
  core::launch(
      context,
      {.blocks = g.batch * g.chunks * g.tile_pairs(),
       .blocks_y = g.groups,
       .threads = kThreads,
       .shared_bytes = 4 * Tile<T>::kBytes},
      gram_tiles<T>,
      Gram<T>{
          .g = g, .B = Tokens<const T>(B), .C = Tokens<const T>(C), .gram = gram.data<float>()});
  return gram;
}
template core::Tensor make_gram<float>(core::Context&, const Geometry&, const core::TensorView&,
                                       const core::TensorView&);
template core::Tensor make_gram<BFloat16>(core::Context&, const Geometry&, const core::TensorView&,
                                          const core::TensorView&);

}  // namespace longhaul::kernels::cuda::ssd
