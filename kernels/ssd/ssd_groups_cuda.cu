// The gradients to B and C: sums over the heads of a group, taken head by head within one block of
// threads, so that they have one order.
#include "kernels/ssd/ssd_gradient.cuh"

namespace longhaul::kernels::cuda::ssd {
namespace {

/// One group of one chunk.
struct Place {
  int group, c, b, tokens, first_head, end_head;
  /// chunk: of [batch, chunks].
  __device__ Place(const Geometry& g, unsigned chunk, unsigned group_)
      : group(static_cast<int>(group_)),
        c(static_cast<int>(chunk % static_cast<unsigned>(g.chunks))),
        b(static_cast<int>(chunk / static_cast<unsigned>(g.chunks))),
        tokens(static_cast<int>(g.tokens(c))),
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

/// Two adjacent elements as T.
template <class T>
struct Pair;
template <>
struct Pair<float> {
  float2 value;
  Pair() = default;
  __device__ explicit Pair(float2 both) : value(both) {}
  __device__ float2 get() const { return value; }
};
template <>
struct Pair<BFloat16> {
  uint32_t word;
  Pair() = default;
  __device__ explicit Pair(float2 both) : word(core::device::pack_bf16(both.x, both.y)) {}
  __device__ float2 get() const { return core::device::unpack_bf16(word); }
};

/// What one block of threads computes of dB or dC: 64 tokens of a chunk, kStateTiles tiles of the
/// state.
template <class T>
struct GroupTile {
  static constexpr int kStages = 3;  ///< of tiles of one head

  const Gradient<T>& args;
  const Place at;
  const int own;  ///< tile of tokens
  const int part, n;
  const int rows, columns;
  const TileRow<T, kStages> tokens;
  const TileRow<T, kStages * kStateTiles> states;
  Accumulator result[kStateTiles];

  __device__ GroupTile(const Gradient<T>& all, core::device::SharedMemory& memory)
      : args(all),
        at(all.g, blockIdx.x / parts(all.g) / static_cast<unsigned>(all.g.tiles),
           blockIdx.y % static_cast<unsigned>(all.g.groups)),
        own(static_cast<int>(blockIdx.x / parts(all.g) % static_cast<unsigned>(all.g.tiles))),
        part(static_cast<int>(blockIdx.x % parts(all.g))),
        n(part * kStateTiles * kTile),
        rows(Geometry::tile_rows(at.tokens, own)),
        columns(min(static_cast<int>(all.g.state) - n, kStateTiles * kTile)),
        tokens{memory.take<T>(TileRow<T, kStages>::kElements)},
        states{memory.take<T>(TileRow<T, kStages * kStateTiles>::kElements)} {}
  __device__ static unsigned parts(const Geometry& g) {
    return static_cast<unsigned>(g.state_blocks());
  }
  static constexpr int64_t kBytes = kStages * (1 + kStateTiles) * Tile<T>::kBytes;
  static_assert(kBytes <= kMostShared);

  __device__ bool is_empty() const { return own * kTile >= at.tokens; }
  __device__ int64_t token() const { return at.c * args.g.chunk + own * kTile; }
  __device__ TileRow<T, kStateTiles> states_of(int stage) const {
    return {states.data + stage * static_cast<int>(TileRow<T, kStateTiles>::kElements)};
  }
  /// Rows of states, of C or of B.
  __device__ void begin_row(int stage, const T* from, int64_t stride, int depth,
                            bool packed) const {
#pragma unroll
    for (int k = 0; k < kStateTiles; ++k) {
      if (k * kTile >= columns) break;
      begin_tile(states_of(stage)[k], from + k * kTile, stride,
                 {depth, min(columns - k * kTile, kTile)}, packed);
    }
  }

  /// result += dΓ (or its transpose) times the rows of `other` in tile `tile`.
  template <bool kTransposed>
  __device__ void add_gram(const float* dgram, const Tokens<const T>& other, int64_t tile) {
    const Geometry& g = args.g;
    const int64_t side = g.padded_chunk();
    const int64_t I = kTransposed ? tile : own, J = kTransposed ? own : tile;
    const int depth = Geometry::tile_rows(at.tokens, tile);
    const Extent pairs{kTransposed ? depth : rows, kTransposed ? rows : depth};
    begin_row(0, other.at(at.b, at.c * g.chunk + tile * kTile) + at.group * g.state + n,
              other.token_stride, depth, g.packed);
    core::device::copy_async_commit();
    load_tile(tokens[0],
              dgram + g.group_at(at.b, at.c, at.group) * side * side + I * kTile * side + J * kTile,
              side, pairs, true);
    core::device::copy_async_wait<0>();
    __syncthreads();
    multiply<kTransposed, false>(result, tokens[0], states_of(0), {rows, columns, depth});
    __syncthreads();
  }

  /// Where a step of add_states is: a tile of head_dim of a head.
  struct Step {
    int h, p = 0, stage = 0;
  };
  __device__ Step behind(Step step) const {
    step.stage = step.stage + 1 < kStages ? step.stage + 1 : 0;
    step.p += kTile;
    if (step.p >= static_cast<int>(args.g.head_dim)) {
      step.p = 0;
      ++step.h;
    }
    return step;
  }
  __device__ int depth_of(const Step& step) const {
    return min(static_cast<int>(args.g.head_dim) - step.p, kTile);
  }

  /// With V_h = rows_h · states_h: result += Σ_heads weight(h, row) V_h, and decay(h, row) ⟨V_h,
  /// partner⟩ of each row to `terms` [state halves, .., padded chunk]. Heads one after the other,
  /// the tiles of the next two steps on their way meanwhile. partners: C where this is dC, B where
  /// dB.
  template <Weight kWeight>
  __device__ void add_states(const Tokens<const T>& of_tokens, const T* of_states,
                             const Tokens<const T>& partners, float* terms) {
    const Geometry& g = args.g;
    const int64_t half = 2 * part + Accumulator::warp_half();
    terms += half * g.batch * g.chunks * g.heads * g.padded_chunk() + own * kTile;
    read_partners(partners.at(at.b, token()) + at.group * g.state + n, partners.token_stride);
    const T* token_rows = of_tokens.at(at.b, token());
    const T* state_rows = of_states + g.head_at(at.b, at.c, 0) * g.state_size() + n;
    const auto begin = [&](const Step& step) {
      if (step.h < at.end_head) {
        const int64_t row = step.h * g.head_dim + step.p;
        begin_tile(tokens[step.stage], token_rows + row, of_tokens.token_stride,
                   {rows, depth_of(step)}, g.packed);
        begin_row(step.stage, state_rows + row * g.state, g.state, depth_of(step), g.state_packed);
      }
      core::device::copy_async_commit();
    };
    __syncthreads();  // what add_gram read
    Step step{.h = at.first_head};
    Step ahead = step;
    for (int i = 0; i + 1 < kStages; ++i) {
      begin(ahead);
      ahead = behind(ahead);
    }
    Accumulator one[kStateTiles];
    while (step.h < at.end_head) {
      core::device::copy_async_wait<kStages - 2>();
      __syncthreads();
      const Step next = behind(step);
      RowFactors<kWeight> factors;
      if (next.p == 0) factors = read_factors<kWeight>(step.h);
      begin(ahead);
      ahead = behind(ahead);
      multiply<false, false>(one, tokens[step.stage], states_of(step.stage),
                             {rows, columns, depth_of(step)});
      if (next.p == 0) {
        add_head(one, terms + g.head_at(at.b, at.c, step.h) * g.padded_chunk(), factors);
      }
      step = next;
    }
  }

  __device__ void store(const Tokens<T>& target, bool add) {
    T* to = target.at(at.b, token()) + at.group * args.g.state + n;
#pragma unroll
    for (int k = 0; k < kStateTiles; ++k) {
      const int width = min(columns - k * kTile, kTile);
      if (width <= 0) break;
      T* first = to + k * kTile;
      if (add) {
        result[k].each([&](int row, int column, float& value) {
          if (row >= rows || column >= width) return;
          value += core::device::to_float(first[row * target.token_stride + column]);
        });
      }
      result[k].store(first, target.token_stride, {rows, width}, args.g.packed);
    }
  }

 private:
  Pair<T> partner_[kStateTiles][Accumulator::kSteps][2];  ///< [.., row, row + 8]

  /// 0 where none is.
  __device__ void read_partners(const T* from, int64_t stride) {
#pragma unroll
    for (int k = 0; k < kStateTiles; ++k) {
#pragma unroll
      for (int step = 0; step < Accumulator::kSteps; ++step) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int row = Accumulator::row() + half * 8;
          const int column = k * kTile + Accumulator::column() + step * 8;
          const T* at = from + row * stride + column;
          float2 both = {0, 0};
          if (row < rows && column < columns) both.x = core::device::to_float(at[0]);
          if (row < rows && column + 1 < columns) both.y = core::device::to_float(at[1]);
          partner_[k][step][half] = Pair<T>(both);
        }
      }
    }
  }

  template <Weight kWeight>
  __device__ RowFactors<kWeight> read_factors(int h) const {
    RowFactors<kWeight> factors;
    const LogSum* sums = args.decays.of(args.g.head_at(at.b, at.c, h));
    factors.end = kWeight == Weight::kToEnd ? sums[args.decays.padded - 1] : LogSum{};
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int i = Accumulator::row() + half * 8;
      factors.sums[half] = sums[own * kTile + i];
      if (kWeight == Weight::kToEnd && i < rows) {
        factors.dt[half] = args.dt.at(at.b, token() + i)[h];
      }
    }
    return factors;
  }

  /// `one` is 0 afterwards.
  template <Weight kWeight>
  __device__ void add_head(Accumulator (&one)[kStateTiles], float* terms,
                           const RowFactors<kWeight>& factors) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float decay = factors.decay(half), weight = factors.weight(decay, half);
      float sum = 0;
#pragma unroll
      for (int k = 0; k < kStateTiles; ++k) {
#pragma unroll
        for (int step = 0; step < Accumulator::kSteps; ++step) {
          float* two = &one[k].value[step][half * 2];
          float* to = &result[k].value[step][half * 2];
          const float2 partner = partner_[k][step][half].get();
          sum = fmaf(two[1], partner.y, fmaf(two[0], partner.x, sum));
          to[0] = fmaf(weight, two[0], to[0]);
          to[1] = fmaf(weight, two[1], to[1]);
          two[0] = two[1] = 0;
        }
      }
      sum = Accumulator::sum_row(sum);
      const int i = Accumulator::row() + half * 8;
      if (Accumulator::lane() % 4 == 0 && i < rows) terms[i] = sum * decay;
    }
  }
};

/// Block (kStateTiles of the state and a tile of the tokens of a chunk of a sequence, group; then,
/// for dB, the same again).
template <class T>
__global__ void __launch_bounds__(kThreads, sizeof(T) == 2 ? 2 : 1)
    group_gradients(Gradient<T> args, const float* dgram) {
  core::device::SharedMemory memory;
  GroupTile<T> tile(args, memory);
  if (tile.is_empty()) return;
  if (args.intra && blockIdx.y < static_cast<unsigned>(args.g.groups)) {
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
  if constexpr (std::is_same_v<T, BFloat16>) {
    if (args.tokens.by_rows) return run_row_groups(context, args, dgram);
  }
  const Geometry& g = args.g;
  core::launch(context,
               {.blocks = g.batch * g.chunks * g.tiles * g.state_blocks(),
                .blocks_y = g.groups * (args.intra ? 2 : 1),
                .threads = kThreads,
                .shared_bytes = GroupTile<T>::kBytes},
               group_gradients<T>, args, core::optional_pointer<float>(dgram));
}
template void run_groups<float>(core::Context&, const Gradient<float>&, const core::TensorView&);
template void run_groups<BFloat16>(core::Context&, const Gradient<BFloat16>&,
                                   const core::TensorView&);

}  // namespace longhaul::kernels::cuda::ssd
