// The gradient to x.
#include "kernels/ssd/ssd_gradient.cuh"
#include "kernels/ssd/ssd_weights.cuh"

namespace longhaul::kernels::cuda::ssd {
namespace {

/// Working space in shared memory.
template <class T>
struct Space {
  Tile<T> left, right;
  Shared<float> rows;     ///< [padded chunk]: row factors of the tiles behind the own
  Shared<float> columns;  ///< [64]: column factors of the own tile
  Shared<float> dt;       ///< [64]

  __device__ Space(core::device::SharedMemory& memory, const Geometry& g)
      : left{memory.take<T>(Tile<T>::kElements)},
        right{memory.take<T>(Tile<T>::kElements)},
        rows(memory.take<float>(g.padded_chunk())),
        columns(memory.take<float>(kTile)),
        dt(memory.take<float>(kTile)) {}
  static int64_t bytes(const Geometry& g) {
    return 2 * Tile<T>::kBytes + 4 * g.padded_chunk() + 8 * kTile;
  }
};

/// What one block of threads computes: 64 tokens of a head of a chunk, 64 channels.
struct Place {
  int64_t item, J, p, h, c, b, tokens, token;
  Extent extent;

  __device__ explicit Place(const Geometry& g)
      : item(blockIdx.x / g.tiles),
        J(blockIdx.x % g.tiles),
        p(blockIdx.y * int64_t{kTile}),
        h(item % g.heads),
        c(item / g.heads % g.chunks),
        b(item / g.heads / g.chunks),
        tokens(g.tokens(c)),
        token(c * g.chunk + J * kTile),
        extent{Geometry::tile_rows(tokens, J),
               static_cast<int>(min(g.head_dim - p, int64_t{kTile}))} {}
};

template <class T>
__device__ void make_factors(const Gradient<T>& args, const Space<T>& s, const Place& at) {
  const LogSum* sums = args.decays.of(at.item);
  const LogSum end = sums[at.J * kTile + kTile - 1];
  for (int64_t k = at.J * kTile + threadIdx.x; k < args.g.padded_chunk(); k += kThreads) {
    s.rows[k] = decay_between(sums[k], end);
  }
  for (int j = static_cast<int>(threadIdx.x); j < kTile; j += kThreads) {
    s.columns[j] = decay_between(end, sums[at.J * kTile + j]);
    s.dt[j] = j < at.extent.rows ? args.dt.at(at.b, at.token + j)[at.h] : 0.0f;
  }
}

/// result = e^{c_Q − c_j} G B_j.
template <class T>
__device__ void add_inter(const Gradient<T>& args, Accumulator& result, const Space<T>& s,
                          const Place& at) {
  const Geometry& g = args.g;
  for (int64_t n = 0; n < g.state; n += kTile) {
    const int depth = static_cast<int>(min(g.state - n, int64_t{kTile}));
    begin_tile(s.left, args.B.at(at.b, at.token) + g.group_of(at.h) * g.state + n,
               args.B.token_stride, {at.extent.rows, depth}, g.packed);
    core::device::copy_async_commit();
    load_tile(s.right, args.leaving + at.item * g.state_size() + at.p * g.state + n, g.state,
              {at.extent.columns, depth}, g.state_packed, One{});
    core::device::copy_async_wait<0>();
    __syncthreads();
    multiply<false, true>(result, s.left, s.right, {at.extent.rows, at.extent.columns, depth});
    __syncthreads();
  }
  const LogSum* sums = args.decays.of(at.item);
  const LogSum end = sums[args.decays.padded - 1];
  result.scale_rows([&](int row) { return decay_between(end, sums[at.J * kTile + row]); });
}

/// result += Σ_i Γ_ij M_ij dy_i over tile I.
template <class T>
__device__ void add_intra(const Gradient<T>& args, Accumulator& result, const Space<T>& s,
                          const Place& at, int64_t I) {
  const Geometry& g = args.g;
  const int depth = Geometry::tile_rows(at.tokens, I);
  const int64_t side = g.padded_chunk();
  begin_tile(s.right, args.dy.at(at.b, at.c * g.chunk + I * kTile) + at.h * g.head_dim + at.p,
             args.dy.token_stride, {depth, at.extent.columns}, g.packed);
  core::device::copy_async_commit();
  const WeightTile weights{.gram = args.gram +
                                   g.group_at(at.b, at.c, g.group_of(at.h)) * side * side +
                                   I * kTile * side + at.J * kTile,
                           .gram_stride = side,
                           .sums = args.decays.of(at.item),
                           .I = I,
                           .J = at.J,
                           .extent = {depth, at.extent.rows}};
  load_weights(s.left, weights, {s.rows + I * kTile, s.columns}, [](int) { return 1.0f; });
  core::device::copy_async_wait<0>();
  __syncthreads();
  multiply<true, false>(result, s.left, s.right, {at.extent.rows, at.extent.columns, depth});
  __syncthreads();
}

/// Block (tile of tokens of a head of a chunk of a sequence, tile of head_dim).
template <class T>
__global__ void __launch_bounds__(kThreads, kBlocks<T>) input_gradient(Gradient<T> args) {
  const Geometry& g = args.g;
  const Place at(g);
  if (at.J * kTile >= at.tokens) return;
  core::device::SharedMemory memory;
  const Space<T> s(memory, g);
  make_factors(args, s, at);
  __syncthreads();
  Accumulator result;
  if (args.inter) add_inter(args, result, s, at);
  T* dx = args.dx.at(at.b, at.token) + at.h * g.head_dim + at.p;
  float other = 1;  // times what lies in the tile `right`
  if (args.intra) {
    // The own tile last: what then lies there is dy of these tokens.
    for (int64_t I = (at.tokens - 1) / kTile; I >= at.J; --I) add_intra(args, result, s, at, I);
    other = args.D == nullptr ? 0.0f : args.D[at.h];
  } else {
    load_tile(s.right, static_cast<const T*>(dx), args.dx.token_stride, at.extent, g.packed, One{});
    __syncthreads();
  }
  result.to_tile(s.left, at.extent, [&](int row, int column, float value) {
    return value * s.dt[row] + other * core::device::to_float(s.right.get(row, column));
  });
  __syncthreads();
  store_tile(s.left, dx, args.dx.token_stride, at.extent, g.packed);
}

}  // namespace

template <class T>
void run_inputs(core::Context& context, const Gradient<T>& args) {
  core::launch(context,
               {.blocks = args.g.batch * args.g.chunks * args.g.heads * args.g.tiles,
                .blocks_y = core::ceil_div(args.g.head_dim, kTile),
                .threads = kThreads,
                .shared_bytes = Space<T>::bytes(args.g)},
               input_gradient<T>, args);
}
template void run_inputs<float>(core::Context&, const Gradient<float>&);
template void run_inputs<BFloat16>(core::Context&, const Gradient<BFloat16>&);

}  // namespace longhaul::kernels::cuda::ssd
