// The gradients to B and C: sums over the heads of a group, taken head by head within one block of
// threads, so that they have one order.
#include "kernels/ssd/ssd_gradient.cuh"

namespace longhaul::kernels::cuda::ssd {
namespace {

/// One group of one chunk.
struct Place {
  int64_t group, c, b, tokens, first_head, end_head;
  __device__ Place(const Geometry& g, int64_t chunk, int64_t at)
      : group(at % g.groups),
        c(chunk),
        b(at / g.groups),
        tokens(g.tokens(chunk)),
        first_head(g.first_head(group)),
        end_head(g.first_head(group + 1)) {}
};

/// Block (tile pair of a chunk, group of a sequence): dΓ of one tile.
template <class T>
__global__ void __launch_bounds__(kThreads) gram_gradient(Gradient<T> args, float* dgram) {
  const Geometry& g = args.g;
  const int64_t pair = blockIdx.x % (g.tiles * g.tiles);
  const int64_t I = pair / g.tiles, J = pair % g.tiles;
  const Place at(g, blockIdx.x / (g.tiles * g.tiles), blockIdx.y);
  if (J > I || I * kTile >= at.tokens) return;
  core::device::SharedMemory memory;
  const Tile<T> left{memory.take<T>(Tile<T>::kElements)}, right{memory.take<T>(Tile<T>::kElements)};
  const int rows = Geometry::tile_rows(at.tokens, I), columns = Geometry::tile_rows(at.tokens, J);
  const int64_t i_token = at.c * g.chunk + I * kTile, j_token = at.c * g.chunk + J * kTile;
  Accumulator sum;
  for (int64_t h = at.first_head; h < at.end_head; ++h) {
    Accumulator one;
    for (int64_t p = 0; p < g.head_dim; p += kTile) {
      const int depth = static_cast<int>(min(g.head_dim - p, int64_t{kTile}));
      load_tile(left, args.dy.at(at.b, i_token) + h * g.head_dim + p, args.dy.token_stride,
                {rows, depth}, g.packed, One{});
      load_tile(right, args.x.at(at.b, j_token) + h * g.head_dim + p, args.x.token_stride,
                {columns, depth}, g.packed, One{});
      __syncthreads();
      multiply<false, true>(one, left, right, {rows, columns, depth});
      __syncthreads();
    }
    const LogSum* sums = args.decays.of(g.head_at(at.b, at.c, h));
    for (int n = 0; n < kTile / 8; ++n) {
      for (int k = 0; k < 4; ++k) {
        const int i = Accumulator::warp_row() + Accumulator::lane() / 4 + k / 2 * 8;
        const int j = n * 8 + Accumulator::lane() % 4 * 2 + k % 2;
        if (i >= rows || j >= columns || J * kTile + j > I * kTile + i) continue;
        sum.value[n][k] += one.value[n][k] * args.dt.at(at.b, j_token + j)[h] *
                           decay_between(sums[I * kTile + i], sums[J * kTile + j]);
      }
    }
  }
  const int64_t side = g.padded_chunk();
  float* to = dgram + g.group_at(at.b, at.c, at.group) * side * side + I * kTile * side + J * kTile;
  sum.each([&](int row, int column, float& value) {
    if (row < rows && column < columns) to[row * side + column] = value;
  });
}

/// What one block of threads computes of dB or dC: 64 tokens of a chunk, 64 columns of the state.
template <class T>
struct GroupTile {
  const Gradient<T>& args;
  const Place at;
  const int64_t own;  ///< tile of tokens
  const int64_t n;
  const Tile<T> left, right;
  Accumulator result = {};

  __device__ int rows() const { return Geometry::tile_rows(at.tokens, own); }
  __device__ int columns() const { return static_cast<int>(min(args.g.state - n, int64_t{kTile})); }

  /// result += dΓ (or its transpose) times the rows of `other` in tile `tile`.
  template <bool kTransposed>
  __device__ void add_gram(const float* dgram, const Tokens<const T>& other, int64_t tile) {
    const Geometry& g = args.g;
    const int64_t side = g.padded_chunk();
    const int64_t I = kTransposed ? tile : own, J = kTransposed ? own : tile;
    const int depth = Geometry::tile_rows(at.tokens, tile);
    const Extent extent{kTransposed ? depth : rows(), kTransposed ? rows() : depth};
    load_tile(left,
              dgram + g.group_at(at.b, at.c, at.group) * side * side + I * kTile * side + J * kTile,
              side, extent, false, One{});
    load_tile(right, other.at(at.b, at.c * g.chunk + tile * kTile) + at.group * g.state + n,
              other.token_stride, {depth, columns()}, g.packed, One{});
    __syncthreads();
    multiply<kTransposed, false>(result, left, right, {rows(), columns(), depth});
    __syncthreads();
  }

  /// result += Σ_heads factor(h, row) rows_h · states_h.
  template <class Factor>
  __device__ void add_states(const Tokens<const T>& tokens, const float* states,
                             const Factor& factor) {
    const Geometry& g = args.g;
    const int64_t token = at.c * g.chunk + own * kTile;
    for (int64_t h = at.first_head; h < at.end_head; ++h) {
      const int64_t item = g.head_at(at.b, at.c, h);
      for (int64_t p = 0; p < g.head_dim; p += kTile) {
        const int depth = static_cast<int>(min(g.head_dim - p, int64_t{kTile}));
        load_tile(left, tokens.at(at.b, token) + h * g.head_dim + p, tokens.token_stride,
                  {rows(), depth}, g.packed, [&](int row) { return factor(h, item, row); });
        load_tile(right, states + item * g.state_size() + p * g.state + n, g.state,
                  {depth, columns()}, g.state_packed, One{});
        __syncthreads();
        multiply<false, false>(result, left, right, {rows(), columns(), depth});
        __syncthreads();
      }
    }
  }

  __device__ void store(const Tokens<T>& target, bool add) {
    const int64_t token = at.c * args.g.chunk + own * kTile;
    const int height = rows(), width = columns();
    result.each([&](int row, int column, float& value) {
      if (row >= height || column >= width) return;
      T* to = target.at(at.b, token + row) + at.group * args.g.state + n + column;
      *to = core::device::from_float<T>(add ? value + core::device::to_float(*to) : value);
    });
  }
};

/// Block (tile of tokens of a chunk, group of a sequence, tile of the state).
template <class T>
__device__ GroupTile<T> group_tile(const Gradient<T>& args, core::device::SharedMemory& memory) {
  const Tile<T> left{memory.take<T>(Tile<T>::kElements)}, right{memory.take<T>(Tile<T>::kElements)};
  return {.args = args,
          .at = Place(args.g, blockIdx.x / args.g.tiles, blockIdx.y),
          .own = blockIdx.x % args.g.tiles,
          .n = blockIdx.z * int64_t{kTile},
          .left = left,
          .right = right};
}

template <class T>
__global__ void __launch_bounds__(kThreads) C_gradient(Gradient<T> args, const float* dgram) {
  core::device::SharedMemory memory;
  GroupTile<T> tile = group_tile(args, memory);
  if (tile.own * kTile >= tile.at.tokens) return;
  for (int64_t J = 0; J <= tile.own; ++J) tile.template add_gram<false>(dgram, args.B, J);
  tile.add_states(args.dy, args.entering, [&](int64_t, int64_t item, int row) {
    return decay_to(args.decays.of(item)[tile.own * kTile + row]);
  });
  tile.store(args.dC, false);
}

template <class T>
__global__ void __launch_bounds__(kThreads) B_gradient(Gradient<T> args, const float* dgram) {
  core::device::SharedMemory memory;
  GroupTile<T> tile = group_tile(args, memory);
  if (tile.own * kTile >= tile.at.tokens) return;
  if (args.intra) {
    for (int64_t I = tile.own; I * kTile < tile.at.tokens; ++I) {
      tile.template add_gram<true>(dgram, args.C, I);
    }
  }
  if (args.inter) {
    const int64_t token = tile.at.c * args.g.chunk + tile.own * kTile;
    tile.add_states(args.x, args.leaving, [&](int64_t h, int64_t item, int row) {
      const LogSum* sums = args.decays.of(item);
      return decay_between(sums[args.decays.padded - 1], sums[tile.own * kTile + row]) *
             args.dt.at(tile.at.b, token + row)[h];
    });
  }
  tile.store(args.dB, !args.intra);
}

}  // namespace

template <class T>
void run_groups(core::Context& context, const Gradient<T>& args) {
  const Geometry& g = args.g;
  const int64_t side = g.padded_chunk();
  core::Tensor dgram;
  const core::LaunchShape tiles{.blocks = g.chunks * g.tiles,
                                .blocks_y = g.batch * g.groups,
                                .blocks_z = core::ceil_div(g.state, kTile),
                                .threads = kThreads,
                                .shared_bytes = 2 * Tile<T>::kBytes};
  if (args.intra) {
    dgram = core::Tensor(context, core::DType::kF32, {g.batch * g.chunks * g.groups, side, side});
    core::launch(context,
                 {.blocks = g.chunks * g.tiles * g.tiles,
                  .blocks_y = g.batch * g.groups,
                  .threads = kThreads,
                  .shared_bytes = 2 * Tile<T>::kBytes},
                 gram_gradient<T>, args, dgram.data<float>());
    core::launch(context, tiles, C_gradient<T>, args, dgram.data<float>());
  }
  core::launch(context, tiles, B_gradient<T>, args, core::optional_pointer<float>(dgram));
}
template void run_groups<float>(core::Context&, const Gradient<float>&);
template void run_groups<BFloat16>(core::Context&, const Gradient<BFloat16>&);

}  // namespace longhaul::kernels::cuda::ssd
