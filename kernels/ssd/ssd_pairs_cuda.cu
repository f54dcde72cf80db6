// What the pairs of an input j and an output i of a chunk give, j ≤ i, one tile of 64 × 64 pairs at
// a time: the gradient dΓ, summed over the heads of a group in their order, and each head's sums of
// P_ij = ⟨dy_i, x_j⟩ Γ_ij M_ij along rows and columns, of which the gradients to dt and the
// log-decays are made (ssd_backward_cuda.cu). Γ of the tile stays in registers over the heads.
#include "kernels/ssd/ssd_gradient.cuh"

namespace longhaul::kernels::cuda::ssd {
namespace {

/// Working space in shared memory; what there is twice is of a head and of the next.
template <class T>
struct Space {
  TileRow<T, 2> left, right;
  /// [2, 64] each. Below the diagonal tiles e^{c_i − c_j} is the product of two factors, each at
  /// most 1, through the end of tile J; on them it is taken from the sums themselves. 0 where no
  /// token is.
  Shared<float> rows, columns, dt;
  Shared<LogSum> sums;
  Shared<float> column_sums;  ///< [2, 4, 64]: the warps' sums of columns

  __device__ explicit Space(core::device::SharedMemory& memory)
      : left{memory.take<T>(TileRow<T, 2>::kElements)},
        right{memory.take<T>(TileRow<T, 2>::kElements)},
        rows(memory.take<float>(2 * kTile)),
        columns(memory.take<float>(2 * kTile)),
        dt(memory.take<float>(2 * kTile)),
        sums(memory.take<LogSum>(2 * kTile)),
        column_sums(memory.take<float>(8 * kTile)) {}
  static constexpr int64_t kBytes = 2 * TileRow<T, 2>::kBytes + (3 * 2 + 2 * 2 + 8) * kTile * 4;
};

/// Block (tile pair of a chunk of a sequence, group); pairs above the diagonal have none.
struct Place {
  int I, J, c, b, group, tokens, i_token, j_token, pair, rows, columns;

  __device__ explicit Place(const Geometry& g)
      : c(static_cast<int>(blockIdx.x / static_cast<unsigned>(g.tile_pairs()) %
                           static_cast<unsigned>(g.chunks))),
        b(static_cast<int>(blockIdx.x / static_cast<unsigned>(g.tile_pairs()) /
                           static_cast<unsigned>(g.chunks))),
        group(static_cast<int>(blockIdx.y)),
        tokens(static_cast<int>(g.tokens(c))),
        pair(static_cast<int>(blockIdx.x % static_cast<unsigned>(g.tile_pairs()))) {
    const TileOfPair tile(pair);
    I = tile.I;
    J = tile.J;
    i_token = static_cast<int>(c * g.chunk) + I * kTile;
    j_token = static_cast<int>(c * g.chunk) + J * kTile;
    rows = Geometry::tile_rows(tokens, I);
    columns = Geometry::tile_rows(tokens, J);
  }
};

/// What one thread knows of one token of a head: read early, put where the factors are late.
struct PairToken {
  LogSum own = {}, end = {};
  float dt = 0;
};
template <class T>
__device__ PairToken read_token(const Gradient<T>& args, const Place& at, int h) {
  PairToken token;
  const int thread = static_cast<int>(threadIdx.x), i = thread - kTile;
  if (thread >= 2 * kTile) return token;
  const LogSum* sums = args.decays.of(args.g.head_at(at.b, at.c, h));
  token.end = sums[at.J * kTile + kTile - 1];
  token.own = thread < kTile ? sums[at.J * kTile + thread] : sums[at.I * kTile + i];
  if (thread < at.columns) token.dt = args.dt.at(at.b, at.j_token + thread)[h];
  return token;
}
template <class T>
__device__ void put_factors(const Space<T>& s, const Place& at, int buffer,
                            const PairToken& token) {
  const int thread = static_cast<int>(threadIdx.x), to = buffer * kTile + thread % kTile;
  if (thread < kTile) {
    s.columns[to] = thread < at.columns ? decay_between(token.end, token.own) : 0.0f;
    s.dt[to] = token.dt;
    s.sums[to] = token.own;
  } else if (thread < 2 * kTile && at.I > at.J) {
    s.rows[to] = thread - kTile < at.rows ? decay_between(token.own, token.end) : 0.0f;
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
template <bool kDiagonal, class T>
__device__ void add_head(const Gradient<T>& args, const Space<T>& s, const Place& at, int64_t item,
                         int buffer, const Accumulator& one, const Accumulator& gram,
                         Accumulator& sum) {
  const int row = Accumulator::row(), first = buffer * kTile + Accumulator::column();
  float columns[Accumulator::kSteps][2], rows[2] = {0, 0};
  LogSum row_sums[2];
  float row_factors[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    if constexpr (kDiagonal) {
      row_sums[half] = s.sums[buffer * kTile + row + half * 8];
    } else {
      row_factors[half] = s.rows[buffer * kTile + row + half * 8];
    }
  }
#pragma unroll
  for (int n = 0; n < Accumulator::kSteps; ++n) {
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      const float dt = s.dt[first + n * 8 + k];
      const int j = Accumulator::column() + n * 8 + k;
      LogSum column_sum = {};
      float column_factor = 0;
      if constexpr (kDiagonal) {
        column_sum = s.sums[first + n * 8 + k];
      } else {
        column_factor = s.columns[first + n * 8 + k];
      }
      columns[n][k] = 0;
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int i = row + half * 8;
        float decay;
        if constexpr (kDiagonal) {
          decay = j <= i && i < at.rows ? decay_between(row_sums[half], column_sum) : 0.0f;
        } else {
          decay = row_factors[half] * column_factor;
        }
        const float x = one.value[n][half * 2 + k], pair = x * decay;
        sum.value[n][half * 2 + k] += pair * dt;
        if (kDiagonal && i == j) {
          if (i < at.rows) {
            args.tokens.dots[item * args.g.padded_chunk() + at.I * kTile + i] = x;
          }
        } else {
          const float straddling = pair * gram.value[n][half * 2 + k];
          columns[n][k] += straddling;
          rows[half] += straddling * dt;
        }
      }
    }
  }
  float* to = args.tokens.rows +
              ((item * args.g.tile_pairs() + at.pair) * 2 + Accumulator::warp_half()) * kTile;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float sum = Accumulator::sum_row(rows[half]);
    if (Accumulator::lane() % 4 == 0) to[row + half * 8] = sum;
  }
  float own[2];
  sum_columns(columns, own);
  if ((Accumulator::lane() & 4) != 0) return;
  const int place = (buffer * 4 + Accumulator::warp_row() / 16) * kTile + Accumulator::column() +
                    column_step() * 8;
  s.column_sums[place] = own[0];
  s.column_sums[place + 1] = own[1];
}

/// The columns of a head, once all warps have theirs.
template <class T>
__device__ void store_columns(const Gradient<T>& args, const Space<T>& s, const Place& at,
                              int64_t item, int buffer) {
  const int j = static_cast<int>(threadIdx.x);
  if (j >= kTile) return;
  float column = 0;
#pragma unroll
  for (int warp = 0; warp < 4; ++warp) column += s.column_sums[(buffer * 4 + warp) * kTile + j];
  args.tokens.columns[(item * args.g.tile_pairs() + at.pair) * kTile + j] = column;
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
    return read_token(args, at, h);
  };
  if (steps > 0) put_factors(s, at, 0, begin(0));
  for (int step = 0; step < steps; ++step) {
    core::device::copy_async_wait<0>();
    __syncthreads();
    PairToken next;
    if (step + 1 < steps) next = begin(step + 1);
    const int p = step % depths, buffer = step % 2;
    const int64_t item = g.head_at(at.b, at.c, first + step / depths);
    if (p == 0 && step > 0) store_columns(args, s, at, item - 1, (step - 1) % 2);
    multiply<false, true>(one, s.left[buffer], s.right[buffer],
                          {at.rows, at.columns, min(head_dim - p * kTile, kTile)});
    if (p + 1 == depths) {
      if (at.I == at.J) {
        add_head<true>(args, s, at, item, buffer, one, gram, sum);
      } else {
        add_head<false>(args, s, at, item, buffer, one, gram, sum);
      }
      one = {};
    }
    put_factors(s, at, (step + 1) % 2, next);
  }
  __syncthreads();
  if (steps > 0) {
    store_columns(args, s, at, g.head_at(at.b, at.c, first + heads - 1), (steps - 1) % 2);
  }
  sum.store(dgram + tile, side, {kTile, kTile}, true);
}

}  // namespace

template <class T>
void run_pairs(core::Context& context, const Gradient<T>& args, const core::TensorView& dgram) {
  if constexpr (std::is_same_v<T, BFloat16>) {
    if (args.tokens.by_rows) return run_row_pairs(context, args, dgram);
  }
  const Geometry& g = args.g;
  core::launch(context,
               {.blocks = g.batch * g.chunks * g.tile_pairs(),
                .blocks_y = g.groups,
                .threads = kThreads,
                .shared_bytes = Space<T>::kBytes},
               pair_tiles<T>, args, dgram.data<float>());
}
template void run_pairs<float>(core::Context&, const Gradient<float>&, const core::TensorView&);
template void run_pairs<BFloat16>(core::Context&, const Gradient<BFloat16>&,
                                  const core::TensorView&);

}  // namespace longhaul::kernels::cuda::ssd
