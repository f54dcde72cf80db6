// Decays, what each chunk adds to the state, and the states from chunk to chunk: the part of the
// recurrence that is ready before any work within chunks.
#include "kernels/core/block_sum.cuh"
#include "kernels/ssd/ssd_device.cuh"

namespace longhaul::kernels::cuda::ssd {
namespace {

/// Block (chunk of a sequence, kScanHeads heads). A lane has one head and a warp one slice of its
/// tokens: dt is read along the heads, and no thread walks over more than a slice.
__global__ void __launch_bounds__(kScanThreads)
    sum_log_decays(Geometry g, Tokens<const float> dt, const float* A_log, LogSum* sums) {
  core::device::SharedMemory memory;
  const Shared<double> slices = memory.take<double>(kScanThreads);
  const ScanPlace at(g);
  // A bound far beyond where e^ℓ is 0 keeps the sums finite.
  const float A = at.is_head ? decay_rate(A_log[at.h]) : 0.0f;
  const auto log_decay = [&](int64_t t) {
    return fmax(static_cast<double>(dt.at(at.b, at.c * g.chunk + t)[at.h]) * static_cast<double>(A),
                -1e30);
  };
  double sum = 0;
  for (int64_t t = at.begin; t < min(at.end, at.tokens); ++t) sum += log_decay(t);
  slices[threadIdx.x] = sum;
  __syncthreads();
  if (!at.is_head) return;
  // Tokens that forget nothing must have the very sum of the one before, also across slices: every
  // sum is that of the slices before, plus that within the slice.
  double before = 0;
  for (int slice = 0; slice < at.slice; ++slice) before += slices[slice * kScanHeads + at.lane];
  LogSum* to = sums + at.item * g.padded_chunk();
  sum = 0;
  for (int64_t t = at.begin; t < at.end; ++t) {
    if (t < at.tokens) sum += log_decay(t);
    const double all = before + sum;
    const auto high = static_cast<float>(all);
    to[t] = {high, static_cast<float>(all - static_cast<double>(high))};
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
      const LogSum end = decays.of(g.head_at(b, c, h))[decays.padded - 1];
      sum += static_cast<double>(end.x) + static_cast<double>(end.y);
    }
    log_decay[i] = static_cast<float>(fmax(sum, -3.402823466e38));
  }
};

template <class T>
struct Contribution {
  Geometry g;
  Tokens<const T> left, right;
  Tokens<const float> dt;
  Decays decays;
  Weight weight;
  float* own;
};

/// Working space in shared memory; what there is twice is of a tile of tokens and of the next.
template <class T>
struct ContributionSpace {
  static constexpr int kAcross = 2;  ///< tiles of the state that one block has
  TileRow<T, 2> left;
  TileRow<T, 2 * kAcross> right;
  Shared<float> factors;  ///< [padded chunk]: what a token's share counts

  __device__ ContributionSpace(core::device::SharedMemory& memory, const Geometry& g)
      : left{memory.take<T>(TileRow<T, 2>::kElements)},
        right{memory.take<T>(TileRow<T, 2 * kAcross>::kElements)},
        factors(memory.take<float>(g.padded_chunk())) {}
  static int64_t bytes(const Geometry& g) {
    return TileRow<T, 2>::kBytes + TileRow<T, 2 * kAcross>::kBytes + 4 * g.padded_chunk();
  }
  /// Blocks for one head.
  static __host__ __device__ int64_t blocks(const Geometry& g) {
    return (g.head_dim + kTile - 1) / kTile * ((g.state_tiles() + kAcross - 1) / kAcross);
  }
};

/// Block (tile of head_dim, two of the state, of a head of a chunk of a sequence).
template <class T>
__global__ void __launch_bounds__(kThreads, 2) contribute(Contribution<T> args) {
  constexpr int kAcross = ContributionSpace<T>::kAcross;
  const Geometry& g = args.g;
  core::device::SharedMemory memory;
  const ContributionSpace<T> s(memory, g);
  const auto blocks = static_cast<unsigned>(ContributionSpace<T>::blocks(g));
  const auto pairs = static_cast<unsigned>((g.state_tiles() + kAcross - 1) / kAcross);
  const unsigned part = blockIdx.x % blocks;
  const HeadPlace at(g, blockIdx.x / blocks);
  const int h = at.h, c = at.c, b = at.b, tokens = at.tokens;
  const int p = static_cast<int>(part / pairs) * kTile;
  const int n = static_cast<int>(part % pairs) * kTile * kAcross;
  const int rows = min(static_cast<int>(g.head_dim) - p, kTile);
  const int state = static_cast<int>(g.state);
  const LogSum* sums = args.decays.of(at.item);
  const LogSum end = sums[args.decays.padded - 1];
  for (int k = static_cast<int>(threadIdx.x); k < tokens; k += kThreads) {
    s.factors[k] = args.weight == Weight::kFromStart
                       ? decay_to(sums[k])
                       : decay_between(end, sums[k]) * args.dt.at(b, c * g.chunk + k)[h];
  }
  const T* left = args.left.at(b, c * g.chunk) + h * g.head_dim + p;
  const T* right = args.right.at(b, c * g.chunk) + g.group_of(h) * g.state + n;
  const auto width = [&](int k) { return min(state - n - k * kTile, kTile); };
  const auto fetch = [&](int tile) {
    const int depth = min(tokens - tile * kTile, kTile);
#pragma unroll
    for (int k = 0; k < kAcross; ++k) {
      if (width(k) <= 0) break;
      begin_tile(s.right[tile % 2 * kAcross + k],
                 right + tile * kTile * args.right.token_stride + k * kTile,
                 args.right.token_stride, {depth, width(k)}, g.packed);
    }
    core::device::copy_async_commit();
    return TileFetch<T>(left + tile * kTile * args.left.token_stride, args.left.token_stride,
                        {depth, rows}, g.packed);
  };
  const auto put = [&](const TileFetch<T>& fetched, int tile) {
    fetched.put(s.left[tile % 2],
                [&](int row) { return static_cast<float>(s.factors[tile * kTile + row]); });
  };
  Accumulator result[kAcross];
  const auto multiply_tile = [&](int tile) {
#pragma unroll
    for (int k = 0; k < kAcross; ++k) {
      if (width(k) <= 0) break;
      multiply<true, false>(result[k], s.left[tile % 2], s.right[tile % 2 * kAcross + k],
                            {rows, width(k), min(tokens - tile * kTile, kTile)});
    }
  };
  const int tiles = (tokens + kTile - 1) / kTile;
  {
    const TileFetch<T> first = fetch(0);
    __syncthreads();  // factors
    put(first, 0);
  }
  for (int tile = 0; tile < tiles; ++tile) {
    core::device::copy_async_wait<0>();
    __syncthreads();
    if (tile + 1 < tiles) {
      const TileFetch<T> next = fetch(tile + 1);
      multiply_tile(tile);
      put(next, tile + 1);
    } else {
      multiply_tile(tile);
    }
  }
  float* own = args.own + at.item * g.state_size() + p * g.state + n;
#pragma unroll
  for (int k = 0; k < kAcross; ++k) {
    if (width(k) <= 0) break;
    result[k].store(own + k * kTile, state, {rows, width(k)}, g.state_packed);
  }
}

/// Item: N adjacent elements of the state of one head of one sequence.
template <int N>
struct Pass {
  using Elements = core::device::Pack<float, N>;
  static constexpr int kBatch = 4;  ///< chunks read before the first is written
  Geometry g;
  Decays decays;
  float* own;
  const float* initial;
  float* last;
  const float* entering;  ///< or null
  float* through;         ///< [batch, chunks, heads, state_size / kThroughPart] with entering
  bool replace, backward;

  __device__ void operator()(int64_t i) const {
    const int64_t element = i * N % g.state_size(), head = i * N / g.state_size();
    const int64_t h = head % g.heads, b = head / g.heads;
    Elements value = {};
    if (initial != nullptr) value = Elements::load(initial + i * N);
    for (int64_t begin = 0; begin < g.chunks; begin += kBatch) {
      Elements contributions[kBatch];
      float decay[kBatch];
#pragma unroll
      for (int u = 0; u < kBatch; ++u) {
        if (begin + u >= g.chunks) continue;
        const int64_t at = head_at(b, begin + u, h);
        contributions[u] = Elements::load(own + at * g.state_size() + element);
        decay[u] = decays.over_chunk(at);
      }
#pragma unroll
      for (int u = 0; u < kBatch; ++u) {
        if (begin + u >= g.chunks) continue;
        const int64_t at = head_at(b, begin + u, h) * g.state_size() + element;
        if (replace) value.store(own + at);
        if constexpr (N * 32 == kThroughPart) {
          if (entering != nullptr) add_through(value, at, decay[u]);
        }
        for (int k = 0; k < N; ++k) {
          value.value[k] = decay[u] * value.value[k] + contributions[u].value[k];
        }
      }
    }
    if (last != nullptr) value.store(last + i * N);
  }
  /// The share of this warp's elements.
  __device__ void add_through(const Elements& value, int64_t at, float decay) const {
    const auto state = Elements::load(entering + at);
    float sum = 0;
    for (int k = 0; k < N; ++k) sum += state.value[k] * value.value[k];
    sum = core::device::warp_sum(sum);
    if (threadIdx.x % 32 == 0) through[at / kThroughPart] = sum * decay;
  }
  __device__ int64_t head_at(int64_t b, int64_t step, int64_t h) const {
    return g.head_at(b, backward ? g.chunks - 1 - step : step, h);
  }
};

template <class T>
struct Gram {
  Geometry g;
  Tokens<const T> B, C;
  float* gram;
};

/// Block (tile pair of a chunk, group of a sequence).
template <class T>
__global__ void __launch_bounds__(kThreads, 3) gram_tiles(Gram<T> args) {
  constexpr int kAcross = 2;  // tiles of the state at once
  const Geometry& g = args.g;
  core::device::SharedMemory memory;
  const TileRow<T, kAcross> left{memory.take<T>(TileRow<T, kAcross>::kElements)},
      right{memory.take<T>(TileRow<T, kAcross>::kElements)};
  const auto pairs = static_cast<unsigned>(g.tile_pairs()),
             groups = static_cast<unsigned>(g.groups);
  const TileOfPair tile(static_cast<int>(blockIdx.x % pairs));
  const int c = static_cast<int>(blockIdx.x / pairs), tokens = static_cast<int>(g.tokens(c));
  if (tile.I * kTile >= tokens) return;
  const int group = static_cast<int>(blockIdx.y % groups),
            b = static_cast<int>(blockIdx.y / groups);
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
  core::launch(context, scan_shape(g, 1), sum_log_decays, g, Tokens<const float>(dt),
               A_log.data<float>(), sums);
  return {.memory = std::move(memory), .decays = {.sums = sums, .padded = g.padded_chunk()}};
}

void store_log_decay(core::Context& context, const Geometry& g, const Decays& decays,
                     const core::TensorView& log_decay) {
  core::for_each(context, g.batch * g.heads, SumChunks{g, decays, log_decay.data<float>()});
}

template <class T>
void chunk_contributions(core::Context& context, const Geometry& g, const core::TensorView& left,
                         const core::TensorView& right, const core::TensorView& dt,
                         const Decays& decays, Weight weight, const core::TensorView& own) {
  core::launch(context,
               {.blocks = g.batch * g.chunks * g.heads * ContributionSpace<T>::blocks(g),
                .threads = kThreads,
                .shared_bytes = ContributionSpace<T>::bytes(g)},
               contribute<T>,
               Contribution<T>{.g = g,
                               .left = Tokens<const T>(left),
                               .right = Tokens<const T>(right),
                               .dt = Tokens<const float>(dt),
                               .decays = decays,
                               .weight = weight,
                               .own = own.data<float>()});
}
template void chunk_contributions<float>(core::Context&, const Geometry&, const core::TensorView&,
                                         const core::TensorView&, const core::TensorView&,
                                         const Decays&, Weight, const core::TensorView&);
template void chunk_contributions<BFloat16>(core::Context&, const Geometry&,
                                            const core::TensorView&, const core::TensorView&,
                                            const core::TensorView&, const Decays&, Weight,
                                            const core::TensorView&);

void pass_states(core::Context& context, const Geometry& g, const Decays& decays,
                 const Passing& passing) {
  core::with_pack<float>(
      [&]<int N>(std::integral_constant<int, N>) {
        core::for_each(context, g.batch * g.heads * g.state_size() / N,
                       Pass<N>{.g = g,
                               .decays = decays,
                               .own = passing.own.data<float>(),
                               .initial = core::optional_pointer<float>(passing.initial),
                               .last = core::optional_pointer<float>(passing.last),
                               .entering = passing.entering,
                               .through = passing.through,
                               .replace = passing.replace,
                               .backward = passing.backward});
      },
      passing.own, passing.initial, passing.last);
}

template <class T>
core::Tensor make_gram(core::Context& context, const Geometry& g, const core::TensorView& B,
                       const core::TensorView& C) {
  const int64_t side = g.padded_chunk();
  core::Tensor gram(context, core::DType::kF32, {g.batch * g.chunks * g.groups, side, side});
  core::launch(
      context,
      {.blocks = g.chunks * g.tile_pairs(),
       .blocks_y = g.batch * g.groups,
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
