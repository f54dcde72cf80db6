// The gradient to the log-decays, one block of threads for each head of each chunk. ℓ_m sees every
// pair of an input j and an output i with j < m ≤ i. Sums over such pairs are put together from
// sums over tiles, whole rows, whole columns and the corner of a diagonal tile, all of the same
// direction: differences of cumulative sums would cancel.
#include "kernels/ssd/ssd_gradient.cuh"

namespace longhaul::kernels::cuda::ssd {
namespace {

constexpr int kStride = kTile + 1;

/// Working space in shared memory.
template <class T>
struct Space {
  Tile<T> left, right;
  Shared<float> pairs;          ///< [64, 65]
  Shared<float> columns, rows;  ///< [padded chunk]: sums below, and left of, the diagonal tiles
  Shared<float> corners;        ///< [padded chunk]: straddling pairs within the diagonal tile
  Shared<float> own_columns;    ///< [padded chunk]: column sums of the diagonal tile
  Shared<float> tiles;          ///< [tiles, tiles]: sums over the tiles below the diagonal
  Shared<float> dots;           ///< [64]

  __device__ Space(core::device::SharedMemory& memory, const Geometry& g) {
    left.data = memory.take<T>(Tile<T>::kElements);
    right.data = memory.take<T>(Tile<T>::kElements);
    pairs = memory.take<float>(kTile * kStride);
    columns = memory.take<float>(g.padded_chunk());
    rows = memory.take<float>(g.padded_chunk());
    corners = memory.take<float>(g.padded_chunk());
    own_columns = memory.take<float>(g.padded_chunk());
    tiles = memory.take<float>(g.tiles * g.tiles);
    dots = memory.take<float>(kTile);
  }
  static int64_t bytes(const Geometry& g) {
    const int64_t floats = kTile * kStride + 4 * g.padded_chunk() + g.tiles * g.tiles + kTile;
    return 2 * Tile<T>::kBytes + floats * 4 + 32;
  }
};

/// One head of one chunk.
struct Place {
  int64_t item, h, c, b, tokens;
  __device__ Place(const Geometry& g, int64_t at)
      : item(at),
        h(at % g.heads),
        c(at / g.heads % g.chunks),
        b(at / g.heads / g.chunks),
        tokens(g.tokens(c)) {}
};

/// pairs = ⟨dy_i, x_j⟩ Γ_ij M_ij of a tile, 0 above the diagonal and outside; ⟨dy_i, x_i⟩ to dots.
template <class T>
__device__ void load_pairs(const Gradient<T>& args, const Space<T>& s, const Place& at, int64_t I,
                           int64_t J) {
  const Geometry& g = args.g;
  const int rows = Geometry::tile_rows(at.tokens, I), columns = Geometry::tile_rows(at.tokens, J);
  const int64_t first = at.c * g.chunk;
  Accumulator result;
  for (int64_t p = 0; p < g.head_dim; p += kTile) {
    const int depth = static_cast<int>(min(g.head_dim - p, int64_t{kTile}));
    load_tile(s.left, args.dy.at(at.b, first + I * kTile) + at.h * g.head_dim + p,
              args.dy.token_stride, {rows, depth}, g.packed, One{});
    load_tile(s.right, args.x.at(at.b, first + J * kTile) + at.h * g.head_dim + p,
              args.x.token_stride, {columns, depth}, g.packed, One{});
    __syncthreads();
    multiply<false, true>(result, s.left, s.right, {rows, columns, depth});
    __syncthreads();
  }
  const int64_t side = g.padded_chunk();
  const float* gram = args.gram + g.group_at(at.b, at.c, g.group_of(at.h)) * side * side +
                      I * kTile * side + J * kTile;
  const LogSum* sums = args.decays.of(at.item);
  result.each([&](int i, int j, float& value) {
    float pair = 0;
    if (i < rows && j < columns && J * kTile + j <= I * kTile + i) {
      pair = value * gram[i * side + j] * decay_between(sums[I * kTile + i], sums[J * kTile + j]);
    }
    s.pairs[i * kStride + j] = pair;
    if (I == J && i == j) s.dots[i] = i < rows ? value : 0.0f;
  });
  __syncthreads();
}

/// Adds a tile below the diagonal to the sums over columns, rows and tiles.
template <class T>
__device__ void add_tile(const Gradient<T>& args, const Space<T>& s, const Place& at, int64_t I,
                         int64_t J) {
  const int thread = static_cast<int>(threadIdx.x);
  const int columns = Geometry::tile_rows(at.tokens, J);
  if (thread < kTile) {
    float sum = 0;
    for (int i = 0; i < kTile; ++i) sum += s.pairs[i * kStride + thread];
    s.columns[J * kTile + thread] += sum;
  } else {
    const int i = thread - kTile;
    float sum = 0;
    for (int j = 0; j < columns; ++j) {
      sum += s.pairs[i * kStride + j] * args.dt.at(at.b, at.c * args.g.chunk + J * kTile + j)[at.h];
    }
    s.rows[I * kTile + i] += sum;
    s.dots[i] = sum;
  }
  __syncthreads();
  if (thread == 0) {
    float sum = 0;
    for (int i = 0; i < kTile; ++i) sum += s.dots[i];
    s.tiles[I * args.g.tiles + J] = sum;
  }
  __syncthreads();
}

/// A diagonal tile: its column sums, and the pairs i ≥ m > j within it.
template <class T>
__device__ void add_diagonal_tile(const Gradient<T>& args, const Space<T>& s, const Place& at,
                                  int64_t I) {
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t first = at.c * args.g.chunk + I * kTile;
  const int rows = Geometry::tile_rows(at.tokens, I);
  if (thread < kTile) {
    // From the last output up: what is left in row i is the sum over outputs from i on.
    float sum = 0;
    for (int i = kTile - 1; i >= 0; --i) {
      sum += s.pairs[i * kStride + thread];
      s.pairs[i * kStride + thread] = sum;
    }
    s.own_columns[I * kTile + thread] = sum;
  }
  __syncthreads();
  if (thread < kTile) {
    float sum = 0;
    for (int j = 0; j < thread && j < rows; ++j) {
      sum += s.pairs[thread * kStride + j] * args.dt.at(at.b, first + j)[at.h];
    }
    s.corners[I * kTile + thread] = sum;
  }
  __syncthreads();
}

/// ⟨dy_i, e^{c_i} S C_i⟩ of tile I.
template <class T>
__device__ void load_output_terms(const Gradient<T>& args, const Space<T>& s, const Place& at,
                                  int64_t I) {
  const Geometry& g = args.g;
  const int rows = Geometry::tile_rows(at.tokens, I);
  const int64_t token = at.c * g.chunk + I * kTile;
  const LogSum* sums = args.decays.of(at.item) + I * kTile;
  float* to = args.tokens.to_output + at.item * g.padded_chunk() + I * kTile;
  for (int64_t p = 0; p < g.head_dim; p += kTile) {
    const int columns = static_cast<int>(min(g.head_dim - p, int64_t{kTile}));
    Accumulator result;
    for (int64_t n = 0; n < g.state; n += kTile) {
      const int depth = static_cast<int>(min(g.state - n, int64_t{kTile}));
      load_tile(s.left, args.C.at(at.b, token) + g.group_of(at.h) * g.state + n,
                args.C.token_stride, {rows, depth}, g.packed, One{});
      load_tile(s.right, args.entering + at.item * g.state_size() + p * g.state + n, g.state,
                {columns, depth}, g.state_packed, One{});
      __syncthreads();
      multiply<false, true>(result, s.left, s.right, {rows, columns, depth});
      __syncthreads();
    }
    result.sum_rows(
        [&](int row, int column, float value) {
          if (row >= rows || column >= columns) return 0.0f;
          return value * core::device::to_float(
                             args.dy.at(at.b, token + row)[at.h * g.head_dim + p + column]);
        },
        [&](int row, float sum) {
          if (row < rows) to[row] = (p == 0 ? 0.0f : to[row]) + sum * decay_to(sums[row]);
        });
  }
}

/// straddling_m from the sums, and pair_sums.
template <class T>
__device__ void store_pairs(const Gradient<T>& args, const Space<T>& s, const Place& at) {
  const Geometry& g = args.g;
  const int64_t offset = at.item * g.padded_chunk();
  for (int64_t m = threadIdx.x; m < at.tokens; m += kThreads) {
    const int64_t tile = m / kTile, first = tile * kTile;
    float sum = s.corners[m];
    for (int64_t i = min(at.tokens, first + kTile) - 1; i >= m; --i) sum += s.rows[i];
    for (int64_t j = first; j < m; ++j) {
      sum += s.columns[j] * args.dt.at(at.b, at.c * g.chunk + j)[at.h];
    }
    for (int64_t I = tile + 1; I * kTile < at.tokens; ++I) {
      for (int64_t J = 0; J < tile; ++J) sum += s.tiles[I * g.tiles + J];
    }
    args.tokens.straddling[offset + m] = sum;
    args.tokens.pair_sums[offset + m] = s.columns[m] + s.own_columns[m];
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) pair_terms(Gradient<T> args) {
  const Geometry& g = args.g;
  core::device::SharedMemory memory;
  const Space<T> s(memory, g);
  const Place at(g, blockIdx.x);
  for (int64_t i = threadIdx.x; i < g.padded_chunk(); i += kThreads) {
    s.columns[i] = 0;
    s.rows[i] = 0;
  }
  __syncthreads();
  double dy_x = 0;
  for (int64_t J = 0; J * kTile < at.tokens; ++J) {
    load_pairs(args, s, at, J, J);
    if (threadIdx.x == 0) {
      for (int i = 0; i < kTile; ++i) dy_x += static_cast<double>(s.dots[i]);
    }
    add_diagonal_tile(args, s, at, J);
    for (int64_t I = J + 1; I * kTile < at.tokens; ++I) {
      load_pairs(args, s, at, I, J);
      add_tile(args, s, at, I, J);
    }
    load_output_terms(args, s, at, J);
  }
  if (threadIdx.x == 0) args.sums.dy_x[at.item] = dy_x;
  store_pairs(args, s, at);
}

}  // namespace

template <class T>
void run_pairs(core::Context& context, const Gradient<T>& args) {
  if (!args.intra) return;
  core::launch(context,
               {.blocks = args.g.batch * args.g.chunks * args.g.heads,
                .threads = kThreads,
                .shared_bytes = Space<T>::bytes(args.g)},
               pair_terms<T>, args);
}
template void run_pairs<float>(core::Context&, const Gradient<float>&);
template void run_pairs<BFloat16>(core::Context&, const Gradient<BFloat16>&);

}  // namespace longhaul::kernels::cuda::ssd
