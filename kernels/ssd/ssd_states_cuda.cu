// Decays, what each chunk adds to the state, and the states from chunk to chunk: the part of the
// recurrence that is ready before any work within chunks.
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
  sum = 0;
  for (int slice = 0; slice < at.slice; ++slice) sum += slices[slice * kScanHeads + at.lane];
  LogSum* to = sums + at.item * g.padded_chunk();
  LogSum split{static_cast<float>(sum), 0};
  split.y = static_cast<float>(sum - static_cast<double>(split.x));
  for (int64_t t = at.begin; t < at.end; ++t) {
    if (t < at.tokens) {
      sum += log_decay(t);
      split.x = static_cast<float>(sum);
      split.y = static_cast<float>(sum - static_cast<double>(split.x));
    }
    to[t] = split;
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

/// Working space in shared memory.
template <class T>
struct ContributionSpace {
  TilePair<T> left, right;
  Shared<float> factors;  ///< [padded chunk]: what a token's share counts

  __device__ ContributionSpace(core::device::SharedMemory& memory, const Geometry& g)
      : left{memory.take<T>(TilePair<T>::kElements)},
        right{memory.take<T>(TilePair<T>::kElements)},
        factors(memory.take<float>(g.padded_chunk())) {}
  static int64_t bytes(const Geometry& g) { return 2 * TilePair<T>::kBytes + 4 * g.padded_chunk(); }
};

/// Block (tile of head_dim × state of a head of a chunk of a sequence).
template <class T>
__global__ void __launch_bounds__(kThreads, kBlocks<T>) contribute(Contribution<T> args) {
  const Geometry& g = args.g;
  core::device::SharedMemory memory;
  const ContributionSpace<T> s(memory, g);
  const int64_t item = blockIdx.x / g.state_parts(), part = blockIdx.x % g.state_parts();
  const int64_t h = item % g.heads, c = item / g.heads % g.chunks, b = item / g.heads / g.chunks;
  const int64_t p = part / g.state_tiles() * kTile, n = part % g.state_tiles() * kTile;
  const int rows = static_cast<int>(min(g.head_dim - p, int64_t{kTile}));
  const int columns = static_cast<int>(min(g.state - n, int64_t{kTile}));
  const int64_t tokens = g.tokens(c);
  const LogSum* sums = args.decays.of(item);
  const LogSum end = sums[args.decays.padded - 1];
  for (int64_t k = threadIdx.x; k < tokens; k += kThreads) {
    s.factors[k] = args.weight == Weight::kFromStart
                       ? decay_to(sums[k])
                       : decay_between(end, sums[k]) * args.dt.at(b, c * g.chunk + k)[h];
  }
  const auto fetch = [&](int64_t tile) {
    const int64_t token = c * g.chunk + tile * kTile;
    const int depth = Geometry::tile_rows(tokens, tile);
    begin_tile(s.right[tile], args.right.at(b, token) + g.group_of(h) * g.state + n,
               args.right.token_stride, {depth, columns}, g.packed);
    core::device::copy_async_commit();
    return TileFetch<T>(args.left.at(b, token) + h * g.head_dim + p, args.left.token_stride,
                        {depth, rows}, g.packed);
  };
  const auto put = [&](const TileFetch<T>& fetched, int64_t tile) {
    fetched.put(s.left[tile],
                [&](int row) { return static_cast<float>(s.factors[tile * kTile + row]); });
  };
  Accumulator result;
  const auto multiply_tile = [&](int64_t tile) {
    multiply<true, false>(result, s.left[tile], s.right[tile],
                          {rows, columns, Geometry::tile_rows(tokens, tile)});
  };
  const int64_t tiles = (tokens + kTile - 1) / kTile;
  {
    const TileFetch<T> first = fetch(0);
    __syncthreads();  // factors
    put(first, 0);
  }
  for (int64_t tile = 0; tile < tiles; ++tile) {
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
  result.store(args.own + item * g.state_size() + p * g.state + n, g.state, {rows, columns},
               g.state_packed);
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
        if (replace) value.store(own + head_at(b, begin + u, h) * g.state_size() + element);
        for (int k = 0; k < N; ++k) {
          value.value[k] = decay[u] * value.value[k] + contributions[u].value[k];
        }
      }
    }
    if (last != nullptr) value.store(last + i * N);
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
__global__ void __launch_bounds__(kThreads, kBlocks<T>) gram_tiles(Gram<T> args) {
  const Geometry& g = args.g;
  const int64_t pair = blockIdx.x % (g.tiles * g.tiles), c = blockIdx.x / (g.tiles * g.tiles);
  const int64_t I = pair / g.tiles, J = pair % g.tiles;
  if (J > I || I * kTile >= g.tokens(c)) return;
  core::device::SharedMemory memory;
  const Tile<T> left{memory.take<T>(Tile<T>::kElements)}, right{memory.take<T>(Tile<T>::kElements)};
  const int64_t group = blockIdx.y % g.groups, b = blockIdx.y / g.groups;
  const int rows = Geometry::tile_rows(g.tokens(c), I),
            columns = Geometry::tile_rows(g.tokens(c), J);
  Accumulator result;
  for (int64_t n = 0; n < g.state; n += kTile) {
    const int depth = static_cast<int>(min(g.state - n, int64_t{kTile}));
    load_tile(left, args.C.at(b, c * g.chunk + I * kTile) + group * g.state + n,
              args.C.token_stride, {rows, depth}, g.packed, One{});
    load_tile(right, args.B.at(b, c * g.chunk + J * kTile) + group * g.state + n,
              args.B.token_stride, {columns, depth}, g.packed, One{});
    __syncthreads();
    multiply<false, true>(result, left, right, {rows, columns, depth});
    __syncthreads();
  }
  const int64_t side = g.padded_chunk();
  float* gram = args.gram + g.group_at(b, c, group) * side * side + I * kTile * side + J * kTile;
  result.each([&](int row, int column, float& value) {
    if (row < rows && column < columns) gram[row * side + column] = value;
  });
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
               {.blocks = g.batch * g.chunks * g.heads * g.state_parts(),
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
      {.blocks = g.chunks * g.tiles * g.tiles,
       .blocks_y = g.batch * g.groups,
       .threads = kThreads,
       .shared_bytes = 2 * Tile<T>::kBytes},
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
