// The gradients to B and C: sums over the heads of a group, taken head by head within one block of
// threads, so that they have one order.
#include "kernels/ssd/ssd_gradient.cuh"

namespace longhaul::kernels::cuda::ssd {
namespace {

/// One group of one chunk.
struct Place {
  int group, c, b, tokens, first_head, end_head;
  __device__ Place(const Geometry& g, int64_t chunk, int64_t at)
      : group(static_cast<int>(at % g.groups)),
        c(static_cast<int>(chunk)),
        b(static_cast<int>(at / g.groups)),
        tokens(static_cast<int>(g.tokens(chunk))),
        first_head(static_cast<int>(g.first_head(group))),
        end_head(static_cast<int>(g.first_head(group + 1))) {}
};

/// Whether a token counts what is left of it at the end of the chunk, and how much of it there was,
/// or what is left at it of the state that entered.
enum class Weight { kToEnd, kFromStart };

/// Of one head, at the two rows of a thread: read before they are needed.
template <Weight kWeight>
struct RowFactors {
  LogSum sums[2], end;
  float dt[2] = {0, 0};

  __device__ float decay(int half) const {
    return kWeight == Weight::kToEnd ? decay_between(end, sums[half]) : decay_to(sums[half]);
  }
  __device__ float weight(float decay, int half) const {
    return kWeight == Weight::kToEnd ? decay * dt[half] : decay;
  }
};

/// What one block of threads computes of dB or dC: 64 tokens of a chunk, 64 columns of the state.
template <class T>
struct GroupTile {
  const Gradient<T>& args;
  const Place at;
  const int own;  ///< tile of tokens
  const int n;
  const Extent extent;
  const TileRow<T, 3> tokens, states;
  Accumulator result = {};

  __device__ GroupTile(const Gradient<T>& all, core::device::SharedMemory& memory)
      : args(all),
        at(all.g, blockIdx.x / all.g.state_tiles() / all.g.tiles,
           blockIdx.y % static_cast<unsigned>(all.g.batch * all.g.groups)),
        own(static_cast<int>(blockIdx.x / all.g.state_tiles() % all.g.tiles)),
        n(static_cast<int>(blockIdx.x % all.g.state_tiles()) * kTile),
        extent{Geometry::tile_rows(at.tokens, own),
               static_cast<int>(min(all.g.state - n, int64_t{kTile}))},
        tokens{memory.take<T>(TileRow<T, 3>::kElements)},
        states{memory.take<T>(TileRow<T, 3>::kElements)} {}
  static constexpr int64_t kBytes = 6 * Tile<T>::kBytes;
  static_assert(kBytes <= kMostShared);

  __device__ bool is_empty() const { return own * kTile >= at.tokens; }
  __device__ int64_t token() const { return at.c * args.g.chunk + own * kTile; }

  /// result += dΓ (or its transpose) times the rows of `other` in tile `tile`.
  template <bool kTransposed>
  __device__ void add_gram(const float* dgram, const Tokens<const T>& other, int64_t tile) {
    const Geometry& g = args.g;
    const int64_t side = g.padded_chunk();
    const int64_t I = kTransposed ? tile : own, J = kTransposed ? own : tile;
    const int depth = Geometry::tile_rows(at.tokens, tile);
    const Extent pairs{kTransposed ? depth : extent.rows, kTransposed ? extent.rows : depth};
    begin_tile(states[0], other.at(at.b, at.c * g.chunk + tile * kTile) + at.group * g.state + n,
               other.token_stride, {depth, extent.columns}, g.packed);
    core::device::copy_async_commit();
    load_tile(tokens[0],
              dgram + g.group_at(at.b, at.c, at.group) * side * side + I * kTile * side + J * kTile,
              side, pairs, true);
    core::device::copy_async_wait<0>();
    __syncthreads();
    multiply<kTransposed, false>(result, tokens[0], states[0],
                                 {extent.rows, extent.columns, depth});
    __syncthreads();
  }

  /// With V_h = rows_h · states_h: result += Σ_heads weight(h, row) V_h, and decay(h, row) ⟨V_h,
  /// partner⟩ of each row to `terms` [state halves, .., padded chunk]. Heads one after the other,
  /// the tiles of the next two on their way meanwhile. partners: C where this is dC, B where dB.
  template <Weight kWeight>
  __device__ void add_states(const Tokens<const T>& of_tokens, const T* of_states,
                             const Tokens<const T>& partners, float* terms) {
    const Geometry& g = args.g;
    const int64_t half = 2 * n / kTile + Accumulator::warp_half();
    terms += half * g.batch * g.chunks * g.heads * g.padded_chunk() + own * kTile;
    Accumulator partner;
    const T* partner_rows = partners.at(at.b, token()) + at.group * g.state + n;
    partner.each([&](int i, int j, float& value) {
      if (i >= extent.rows || j >= extent.columns) return;
      value = core::device::to_float(partner_rows[i * partners.token_stride + j]);
    });
    const int head_dim = static_cast<int>(g.head_dim), state = static_cast<int>(g.state);
    const int depths = (head_dim + kTile - 1) / kTile;
    const int steps = (at.end_head - at.first_head) * depths;
    const T* token_rows = of_tokens.at(at.b, token()) + at.first_head * head_dim;
    const T* state_rows = of_states + g.head_at(at.b, at.c, at.first_head) * g.state_size() + n;
    const auto depth_of = [&](int step) { return min(head_dim - step % depths * kTile, kTile); };
    // Row p of head h is row h · head_dim + p of either.
    const auto row_of = [&](int step) { return step / depths * head_dim + step % depths * kTile; };
    const auto begin = [&](int step) {
      if (step < steps) {
        begin_tile(tokens[step % 3], token_rows + row_of(step), of_tokens.token_stride,
                   {extent.rows, depth_of(step)}, g.packed);
        begin_tile(states[step % 3], state_rows + static_cast<int64_t>(row_of(step)) * state, state,
                   {depth_of(step), extent.columns}, g.state_packed);
      }
      core::device::copy_async_commit();
    };
    __syncthreads();  // what add_gram read
    begin(0);
    begin(1);
    Accumulator one;
    RowFactors<kWeight> factors = read_factors<kWeight>(at.first_head);
    for (int step = 0; step < steps; ++step) {
      core::device::copy_async_wait<1>();
      __syncthreads();
      begin(step + 2);
      const int h = at.first_head + step / depths;
      const bool is_whole = step % depths + 1 == depths;
      RowFactors<kWeight> next;
      if (is_whole && h + 1 < at.end_head) next = read_factors<kWeight>(h + 1);
      multiply<false, false>(one, tokens[step % 3], states[step % 3],
                             {extent.rows, extent.columns, depth_of(step)});
      if (!is_whole) continue;
      add_head(one, partner, terms + g.head_at(at.b, at.c, h) * g.padded_chunk(), factors);
      one = {};
      factors = next;
    }
  }

  __device__ void store(const Tokens<T>& target, bool add) {
    T* to = target.at(at.b, token()) + at.group * args.g.state + n;
    __syncthreads();
    if (add) {
      load_tile(states[0], static_cast<const T*>(to), target.token_stride, extent, args.g.packed);
      __syncthreads();
    }
    result.to_tile(tokens[0], extent, [&](int row, int column, float value) {
      return add ? value + core::device::to_float(states[0].get(row, column)) : value;
    });
    __syncthreads();
    store_tile(tokens[0], to, target.token_stride, extent, args.g.packed);
  }

 private:
  template <Weight kWeight>
  __device__ RowFactors<kWeight> read_factors(int h) const {
    RowFactors<kWeight> factors;
    const LogSum* sums = args.decays.of(args.g.head_at(at.b, at.c, h));
    factors.end = kWeight == Weight::kToEnd ? sums[args.decays.padded - 1] : LogSum{};
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int i = Accumulator::row() + half * 8;
      factors.sums[half] = sums[own * kTile + i];
      if (kWeight == Weight::kToEnd && i < extent.rows) {
        factors.dt[half] = args.dt.at(at.b, token() + i)[h];
      }
    }
    return factors;
  }

  template <Weight kWeight>
  __device__ void add_head(Accumulator& one, const Accumulator& partner, float* terms,
                           const RowFactors<kWeight>& factors) {
    const float decays[2] = {factors.decay(0), factors.decay(1)};
    const float weights[2] = {factors.weight(decays[0], 0), factors.weight(decays[1], 1)};
    float sums[2] = {0, 0};
#pragma unroll
    for (int k = 0; k < Accumulator::kSteps; ++k) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        sums[e / 2] = fmaf(one.value[k][e], partner.value[k][e], sums[e / 2]);
        result.value[k][e] = fmaf(weights[e / 2], one.value[k][e], result.value[k][e]);
      }
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float sum = Accumulator::sum_row(sums[half]);
      const int i = Accumulator::row() + half * 8;
      if (Accumulator::lane() % 4 == 0 && i < extent.rows) terms[i] = sum * decays[half];
    }
  }
};

/// Block (tile of the state and of the tokens of a chunk, group of a sequence; then, for dB, the
/// same again).
template <class T>
__global__ void __launch_bounds__(kThreads, sizeof(T) == 2 ? 2 : 1)
    group_gradients(Gradient<T> args, const float* dgram) {
  core::device::SharedMemory memory;
  GroupTile<T> tile(args, memory);
  if (tile.is_empty()) return;
  if (args.intra && blockIdx.y < static_cast<unsigned>(args.g.batch * args.g.groups)) {
    for (int64_t J = 0; J <= tile.own; ++J) tile.template add_gram<false>(dgram, args.B, J);
    tile.template add_states<Weight::kFromStart>(args.dy, args.entering, args.C,
                                                 args.tokens.to_output);
    tile.store(args.dC, false);
    return;
  }
  if (args.intra) {
    for (int64_t I = tile.own; I * kTile < tile.at.tokens; ++I) {
      tile.template add_gram<true>(dgram, args.C, I);
    }
  }
  if (args.inter) {
    tile.template add_states<Weight::kToEnd>(args.x, args.leaving, args.B, args.tokens.to_leaving);
  }
  tile.store(args.dB, !args.intra);
}

}  // namespace

template <class T>
void run_groups(core::Context& context, const Gradient<T>& args, const core::TensorView& dgram) {
  const Geometry& g = args.g;
  core::launch(context,
               {.blocks = g.chunks * g.tiles * g.state_tiles(),
                .blocks_y = g.batch * g.groups * (args.intra ? 2 : 1),
                .threads = kThreads,
                .shared_bytes = GroupTile<T>::kBytes},
               group_gradients<T>, args, core::optional_pointer<float>(dgram));
}
template void run_groups<float>(core::Context&, const Gradient<float>&, const core::TensorView&);
template void run_groups<BFloat16>(core::Context&, const Gradient<BFloat16>&,
                                   const core::TensorView&);

}  // namespace longhaul::kernels::cuda::ssd
