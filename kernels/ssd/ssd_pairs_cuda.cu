// What the pairs of an input j and an output i of a chunk give, j ≤ i, one tile of 64 × 64 pairs at
// a time: the gradient dΓ, summed over the heads of a group in their order, and each head's sums of
// P_ij = ⟨dy_i, x_j⟩ Γ_ij M_ij along rows and columns, of which the gradients to dt and the
// log-decays are made (ssd_backward_cuda.cu). Γ of the tile stays in registers over the heads.
#include "kernels/ssd/ssd_gradient.cuh"
#include "kernels/ssd/ssd_weights.cuh"

namespace longhaul::kernels::cuda::ssd {
namespace {

/// Working space in shared memory; what there is twice is of a head and of the next.
template <class T>
struct Space {
  TilePair<T> left, right;
  Shared<float> rows, columns, dt;  ///< [2, 64]: factors of a head, as in WeightFactors
  Shared<float> sums;               ///< [4, 64]: the warps' sums of columns

  __device__ explicit Space(core::device::SharedMemory& memory)
      : left{memory.take<T>(TilePair<T>::kElements)},
        right{memory.take<T>(TilePair<T>::kElements)},
        rows(memory.take<float>(2 * kTile)),
        columns(memory.take<float>(2 * kTile)),
        dt(memory.take<float>(2 * kTile)),
        sums(memory.take<float>(4 * kTile)) {}
  static constexpr int64_t kBytes = 2 * TilePair<T>::kBytes + (6 + 4) * kTile * 4;
};

/// Block (tile pair of a chunk, group of a sequence); pairs above the diagonal have none.
struct Place {
  int I, J, c, b, group, tokens, i_token, j_token, pair, rows, columns;

  __device__ explicit Place(const Geometry& g)
      : I(0),
        c(static_cast<int>(blockIdx.x / g.tile_pairs())),
        b(static_cast<int>(blockIdx.y / g.groups)),
        group(static_cast<int>(blockIdx.y % g.groups)),
        tokens(static_cast<int>(g.tokens(c))),
        pair(static_cast<int>(blockIdx.x % g.tile_pairs())) {
    while ((I + 1) * (I + 2) / 2 <= pair) ++I;
    J = pair - I * (I + 1) / 2;
    i_token = static_cast<int>(c * g.chunk) + I * kTile;
    j_token = static_cast<int>(c * g.chunk) + J * kTile;
    rows = Geometry::tile_rows(tokens, I);
    columns = Geometry::tile_rows(tokens, J);
  }
};

/// Factors of one head, a token a thread.
template <class T>
__device__ void make_factors(const Gradient<T>& args, const Space<T>& s, const Place& at, int h,
                             int buffer) {
  const LogSum* sums = args.decays.of(args.g.head_at(at.b, at.c, h));
  const LogSum end = sums[at.J * kTile + kTile - 1];
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < kTile) {
    s.columns[buffer * kTile + thread] = decay_between(end, sums[at.J * kTile + thread]);
    s.dt[buffer * kTile + thread] =
        thread < at.columns ? args.dt.at(at.b, at.j_token + thread)[h] : 0.0f;
  } else if (thread < 2 * kTile) {
    const int i = thread - kTile;
    s.rows[buffer * kTile + i] = at.I > at.J ? decay_between(sums[at.I * kTile + i], end) : 0.0f;
  }
}

/// Sums over the warp's rows of two columns in each of its steps. Lanes exchange halves of what
/// they have, so that afterwards every lane holds the columns of step column_step alone.
__device__ inline int column_step() {
  return (Accumulator::lane() & 16) / 8 + (Accumulator::lane() & 8) / 8;
}
__device__ inline void sum_columns(float (&value)[Accumulator::kSteps][2], float (&sum)[2]) {
  static_assert(Accumulator::kSteps == 4);
  const int lane = Accumulator::lane();
#pragma unroll
  for (int half = 2; half > 0; half /= 2) {
    const bool upper = (lane & half * 8) != 0;
#pragma unroll
    for (int n = 0; n < half; ++n) {
#pragma unroll
      for (int k = 0; k < 2; ++k) {
        const float give = upper ? value[n][k] : value[n + half][k];
        const float keep = upper ? value[n + half][k] : value[n][k];
        value[n][k] = keep + __shfl_xor_sync(0xffffffffu, give, half * 8);
      }
    }
  }
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    sum[k] = value[0][k] + __shfl_xor_sync(0xffffffffu, value[0][k], 4);
  }
}

/// From X_ij = ⟨dy_i, x_j⟩ of one head: its share of dΓ, and its sums of pairs.
template <class T>
__device__ void add_head(const Gradient<T>& args, const Space<T>& s, const Place& at, int h,
                         int buffer, Accumulator& one, const Accumulator& gram, Accumulator& sum) {
  const int64_t item = args.g.head_at(at.b, at.c, h);
  const WeightTile weights{.gram = nullptr,
                           .gram_stride = 0,
                           .sums = args.decays.of(item),
                           .I = at.I,
                           .J = at.J,
                           .extent = {at.rows, at.columns}};
  const WeightFactors factors{s.rows + buffer * kTile, s.columns + buffer * kTile};
  const bool is_diagonal = weights.is_diagonal();
  float* dots = args.tokens.dots + item * args.g.padded_chunk() + at.I * kTile;
  float columns[Accumulator::kSteps][2], rows[2] = {0, 0};
#pragma unroll
  for (int n = 0; n < Accumulator::kSteps; ++n) {
    columns[n][0] = columns[n][1] = 0;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const int i = Accumulator::row() + k / 2 * 8, j = Accumulator::column() + n * 8 + k % 2;
      const float x = one.value[n][k], pair = x * weights.decay(factors, i, j);
      const float dt = s.dt[buffer * kTile + j];
      sum.value[n][k] += pair * dt;
      if (is_diagonal && i == j) {
        if (i < at.rows) dots[i] = x;
      } else {
        const float straddling = pair * gram.value[n][k];
        columns[n][k % 2] += straddling;
        rows[k / 2] += straddling * dt;
      }
    }
  }
  float* to = args.tokens.rows +
              ((item * args.g.tile_pairs() + at.pair) * 2 + Accumulator::warp_half()) * kTile;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float row = rows[half];
    row += __shfl_xor_sync(0xffffffffu, row, 1);
    row += __shfl_xor_sync(0xffffffffu, row, 2);
    if (Accumulator::lane() % 4 == 0) to[Accumulator::row() + half * 8] = row;
  }
  float own[2];
  sum_columns(columns, own);
  if ((Accumulator::lane() & 4) != 0) return;
  const int column = Accumulator::column() + column_step() * 8;
  s.sums[Accumulator::warp_row() / 16 * kTile + column] = own[0];
  s.sums[Accumulator::warp_row() / 16 * kTile + column + 1] = own[1];
}

template <class T>
__global__ void __launch_bounds__(kThreads, 2) pair_tiles(Gradient<T> args, float* dgram) {
  const Geometry& g = args.g;
  const Place at(g);
  if (at.I * kTile >= at.tokens) return;
  core::device::SharedMemory memory;
  const Space<T> s(memory);
  const int64_t side = g.padded_chunk();
  const int64_t tile =
      g.group_at(at.b, at.c, at.group) * side * side + at.I * kTile * side + at.J * kTile;
  Accumulator gram, sum, one;
  gram.each([&](int i, int j, float& value) {
    const bool is_pair = i < at.rows && j < at.columns && at.J * kTile + j <= at.I * kTile + i;
    value = is_pair ? args.gram[tile + i * side + j] : 0.0f;
  });
  const int first = static_cast<int>(g.first_head(at.group));
  const int heads = static_cast<int>(g.first_head(at.group + 1)) - first;
  const int head_dim = static_cast<int>(g.head_dim);
  const int depths = (head_dim + kTile - 1) / kTile, steps = heads * depths;
  const auto begin = [&](int step) {
    const int h = first + step / depths, p = step % depths * kTile;
    const int depth = min(head_dim - p, kTile), buffer = step % 2;
    begin_tile(s.left[buffer], args.dy.at(at.b, at.i_token) + h * g.head_dim + p,
               args.dy.token_stride, {at.rows, depth}, g.packed);
    begin_tile(s.right[buffer], args.x.at(at.b, at.j_token) + h * g.head_dim + p,
               args.x.token_stride, {at.columns, depth}, g.packed);
    core::device::copy_async_commit();
    make_factors(args, s, at, h, buffer);
  };
  if (steps > 0) begin(0);
  for (int step = 0; step < steps; ++step) {
    core::device::copy_async_wait<0>();
    __syncthreads();
    if (step + 1 < steps) begin(step + 1);
    const int h = first + step / depths, p = step % depths, buffer = step % 2;
    const int depth = min(head_dim - p * kTile, kTile);
    multiply<false, true>(one, s.left[buffer], s.right[buffer], {at.rows, at.columns, depth});
    if (p + 1 < depths) continue;
    add_head(args, s, at, h, buffer, one, gram, sum);
    one = {};
    __syncthreads();
    const int j = static_cast<int>(threadIdx.x);
    if (j < kTile) {
      float column = 0;
      for (int warp = 0; warp < 4; ++warp) column += s.sums[warp * kTile + j];
      args.tokens.columns[(g.head_at(at.b, at.c, h) * g.tile_pairs() + at.pair) * kTile + j] =
          column;
    }
  }
  sum.store(dgram + tile, side, {kTile, kTile}, true);
}

}  // namespace

template <class T>
void run_pairs(core::Context& context, const Gradient<T>& args, const core::TensorView& dgram) {
  const Geometry& g = args.g;
  core::launch(context,
               {.blocks = g.chunks * g.tile_pairs(),
                .blocks_y = g.batch * g.groups,
                .threads = kThreads,
                .shared_bytes = Space<T>::kBytes},
               pair_tiles<T>, args, dgram.data<float>());
}
template void run_pairs<float>(core::Context&, const Gradient<float>&, const core::TensorView&);
template void run_pairs<BFloat16>(core::Context&, const Gradient<BFloat16>&,
                                  const core::TensorView&);

}  // namespace longhaul::kernels::cuda::ssd
