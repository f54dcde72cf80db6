// Decays, what each chunk adds to the state, and the states from chunk to chunk: the part of the
// recurrence that is ready before any work within chunks.
#include "kernels/ssd/ssd_device.cuh"

namespace longhaul::kernels::cuda::ssd {
namespace {

/// Item: one head of one chunk.
struct SumLogDecays {
  Geometry g;
  Tokens<float> dt;
  const float* A_log;
  LogSum* sums;
  __device__ void operator()(int64_t i) const {
    const int64_t h = i % g.heads, c = i / g.heads % g.chunks, b = i / g.heads / g.chunks;
    const float A = decay_rate(A_log[h]);
    const int64_t tokens = g.tokens(c);
    LogSum* to = sums + i * g.padded_chunk();
    double sum = 0;
    LogSum split{0, 0};
    for (int64_t t = 0; t < g.padded_chunk(); ++t) {
      if (t < tokens) {
        // A bound far beyond where e^ℓ is 0 keeps the sums finite.
        sum +=
            fmax(static_cast<double>(dt.at(b, c * g.chunk + t)[h]) * static_cast<double>(A), -1e30);
        split.x = static_cast<float>(sum);
        split.y = static_cast<float>(sum - static_cast<double>(split.x));
      }
      to[t] = split;
    }
  }
};

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

/// Block (head of a chunk of a sequence, tile of head_dim × state).
template <class T>
__global__ void __launch_bounds__(kThreads) contribute(Contribution<T> args) {
  const Geometry& g = args.g;
  core::device::SharedMemory memory;
  const Tile<T> left{memory.take<T>(Tile<T>::kElements)}, right{memory.take<T>(Tile<T>::kElements)};
  const int64_t item = blockIdx.x;
  const int64_t h = item % g.heads, c = item / g.heads % g.chunks, b = item / g.heads / g.chunks;
  const int64_t across = (g.state + kTile - 1) / kTile;
  const int64_t p = blockIdx.y / across * kTile, n = blockIdx.y % across * kTile;
  const int rows = static_cast<int>(min(g.head_dim - p, int64_t{kTile}));
  const int columns = static_cast<int>(min(g.state - n, int64_t{kTile}));
  const LogSum* sums = args.decays.of(item);
  const LogSum end = sums[args.decays.padded - 1];
  Accumulator result;
  for (int64_t tile = 0; tile * kTile < g.tokens(c); ++tile) {
    const int64_t first = tile * kTile, token = c * g.chunk + first;
    const int depth = Geometry::tile_rows(g.tokens(c), tile);
    const auto factor = [&](int row) {
      const LogSum at = sums[first + row];
      return args.weight == Weight::kFromStart
                 ? decay_to(at)
                 : decay_between(end, at) * args.dt.at(b, token + row)[h];
    };
    load_tile(left, args.left.at(b, token) + h * g.head_dim + p, args.left.token_stride,
              {depth, rows}, g.packed, factor);
    load_tile(right, args.right.at(b, token) + g.group_of(h) * g.state + n, args.right.token_stride,
              {depth, columns}, g.packed, One{});
    __syncthreads();
    multiply<true, false>(result, left, right, {rows, columns, depth});
    __syncthreads();
  }
  float* own = args.own + item * g.state_size() + p * g.state + n;
  result.each([&](int row, int column, float& value) {
    if (row < rows && column < columns) own[row * g.state + column] = value;
  });
}

/// Item: one element of the state of one head of one sequence.
struct Pass {
  Geometry g;
  Decays decays;
  float* own;
  const float* initial;
  float* last;
  bool replace, backward;
  __device__ void operator()(int64_t i) const {
    const int64_t element = i % g.state_size(), head = i / g.state_size();
    const int64_t h = head % g.heads, b = head / g.heads;
    float value = initial == nullptr ? 0.0f : initial[i];
    for (int64_t step = 0; step < g.chunks; ++step) {
      const int64_t at = g.head_at(b, backward ? g.chunks - 1 - step : step, h);
      float* kept = own + at * g.state_size() + element;
      const float contribution = *kept;
      if (replace) *kept = value;
      value = decays.over_chunk(at) * value + contribution;
    }
    if (last != nullptr) last[i] = value;
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
__global__ void __launch_bounds__(kThreads) gram_tiles(Gram<T> args) {
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
  core::for_each(context, heads, SumLogDecays{g, Tokens<float>(dt), A_log.data<float>(), sums});
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
               {.blocks = g.batch * g.chunks * g.heads,
                .blocks_y = core::ceil_div(g.head_dim, kTile) * core::ceil_div(g.state, kTile),
                .threads = kThreads,
                .shared_bytes = 2 * Tile<T>::kBytes},
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
  core::for_each(context, g.batch * g.heads * g.state_size(),
                 Pass{.g = g,
                      .decays = decays,
                      .own = passing.own.data<float>(),
                      .initial = core::optional_pointer<float>(passing.initial),
                      .last = core::optional_pointer<float>(passing.last),
                      .replace = passing.replace,
                      .backward = passing.backward});
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
