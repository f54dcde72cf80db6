// The gradient to x, and what dt gains through it.
#include "kernels/ssd/ssd_gradient.cuh"

namespace longhaul::kernels::cuda::ssd {
namespace {

/// result = e^{c_Q − c_j} G B_j of tile J; ⟨result_j, x_j⟩ to to_leaving; then times dt_j.
template <class T>
__device__ void add_inter(const Gradient<T>& args, Accumulator& result, const Tile<T>& left,
                          const Tile<T>& right, int64_t item, int64_t J, int64_t p) {
  const Geometry& g = args.g;
  const int64_t h = item % g.heads, c = item / g.heads % g.chunks, b = item / g.heads / g.chunks;
  const int rows = Geometry::tile_rows(g.tokens(c), J);
  const int columns = static_cast<int>(min(g.head_dim - p, int64_t{kTile}));
  const int64_t token = c * g.chunk + J * kTile;
  for (int64_t n = 0; n < g.state; n += kTile) {
    const int depth = static_cast<int>(min(g.state - n, int64_t{kTile}));
    load_tile(left, args.B.at(b, token) + g.group_of(h) * g.state + n, args.B.token_stride,
              {rows, depth}, g.packed, One{});
    load_tile(right, args.leaving + item * g.state_size() + p * g.state + n, g.state,
              {columns, depth}, g.state_packed, One{});
    __syncthreads();
    multiply<false, true>(result, left, right, {rows, columns, depth});
    __syncthreads();
  }
  const LogSum* sums = args.decays.of(item);
  const LogSum end = sums[args.decays.padded - 1];
  result.each(
      [&](int row, int, float& value) { value *= decay_between(end, sums[J * kTile + row]); });
  float* to = args.tokens.to_leaving + item * g.padded_chunk() + J * kTile;
  result.sum_rows(
      [&](int row, int column, float value) {
        if (row >= rows || column >= columns) return 0.0f;
        return value *
               core::device::to_float(args.x.at(b, token + row)[h * g.head_dim + p + column]);
      },
      [&](int row, float sum) {
        if (row < rows) to[row] = (p == 0 ? 0.0f : to[row]) + sum;
      });
  result.each([&](int row, int, float& value) {
    if (row < rows) value *= args.dt.at(b, token + row)[h];
  });
}

/// result += dt_j Σ_i Γ_ij M_ij dy_i over tile I.
template <class T>
__device__ void add_intra(const Gradient<T>& args, Accumulator& result, const Tile<T>& left,
                          const Tile<T>& right, int64_t item, int64_t I, int64_t J, int64_t p) {
  const Geometry& g = args.g;
  const int64_t h = item % g.heads, c = item / g.heads % g.chunks, b = item / g.heads / g.chunks;
  const int depth = Geometry::tile_rows(g.tokens(c), I), rows = Geometry::tile_rows(g.tokens(c), J);
  const int columns = static_cast<int>(min(g.head_dim - p, int64_t{kTile}));
  const int64_t side = g.padded_chunk(), first = c * g.chunk;
  const float* gram =
      args.gram + g.group_at(b, c, g.group_of(h)) * side * side + I * kTile * side + J * kTile;
  const LogSum* sums = args.decays.of(item);
  for (int k = static_cast<int>(threadIdx.x); k < rounded(depth) * kTile; k += kThreads) {
    const int i = k / kTile, j = k % kTile;
    if (j >= rounded(rows)) continue;
    float weight = 0;
    if (i < depth && j < rows && J * kTile + j <= I * kTile + i) {
      weight = gram[i * side + j] * args.dt.at(b, first + J * kTile + j)[h] *
               decay_between(sums[I * kTile + i], sums[J * kTile + j]);
    }
    left.data[i * Tile<T>::kStride + j] = core::device::from_float<T>(weight);
  }
  load_tile(right, args.dy.at(b, first + I * kTile) + h * g.head_dim + p, args.dy.token_stride,
            {depth, columns}, g.packed, One{});
  __syncthreads();
  multiply<true, false>(result, left, right, {rows, columns, depth});
  __syncthreads();
}

/// Block (head of a chunk of a sequence, tile of tokens).
template <class T>
__global__ void __launch_bounds__(kThreads) input_gradient(Gradient<T> args) {
  const Geometry& g = args.g;
  core::device::SharedMemory memory;
  const Tile<T> left{memory.take<T>(Tile<T>::kElements)}, right{memory.take<T>(Tile<T>::kElements)};
  const int64_t item = blockIdx.x, J = blockIdx.y;
  const int64_t h = item % g.heads, c = item / g.heads % g.chunks, b = item / g.heads / g.chunks;
  if (J * kTile >= g.tokens(c)) return;
  const int rows = Geometry::tile_rows(g.tokens(c), J);
  const int64_t token = c * g.chunk + J * kTile;
  const float D = args.D == nullptr ? 0.0f : args.D[h];
  for (int64_t p = 0; p < g.head_dim; p += kTile) {
    const int columns = static_cast<int>(min(g.head_dim - p, int64_t{kTile}));
    Accumulator result;
    if (args.inter) add_inter(args, result, left, right, item, J, p);
    if (args.intra) {
      for (int64_t I = J; I * kTile < g.tokens(c); ++I) {
        add_intra(args, result, left, right, item, I, J, p);
      }
    }
    result.each([&](int row, int column, float& value) {
      if (row >= rows || column >= columns) return;
      const int64_t at = h * g.head_dim + p + column;
      T* dx = args.dx.at(b, token + row) + at;
      const float other = args.intra ? D * core::device::to_float(args.dy.at(b, token + row)[at])
                                     : core::device::to_float(*dx);
      *dx = core::device::from_float<T>(value + other);
    });
  }
}

}  // namespace

template <class T>
void run_inputs(core::Context& context, const Gradient<T>& args) {
  core::launch(context,
               {.blocks = args.g.batch * args.g.chunks * args.g.heads,
                .blocks_y = args.g.tiles,
                .threads = kThreads,
                .shared_bytes = 2 * Tile<T>::kBytes},
               input_gradient<T>, args);
}
template void run_inputs<float>(core::Context&, const Gradient<float>&);
template void run_inputs<BFloat16>(core::Context&, const Gradient<BFloat16>&);

}  // namespace longhaul::kernels::cuda::ssd
