// y and dx by tiles of 64 tokens. One block of threads has a head of a chunk. What all of its
// outputs read (state, x or dy) stays in shared memory as long as a chunk has at most a strip of
// tiles of tokens and the state two.
#include "kernels/ssd/ssd_rows.cuh"
#include "kernels/ssd/ssd_token_sums.cuh"

namespace longhaul::kernels::cuda::ssd {
namespace {

/// Tiles of tokens at once: as many as leave two blocks their shared memory, or one in fp32, on
/// devices that have kMostShared; fewer for the others.
template <class T>
constexpr int kStrip = sizeof(T) == 2 ? 4 : 2;
constexpr int kShortStrip = 2;

/// Working space in shared memory.
template <class T, int kStrip>
struct TokenSumSpace {
  TileRow<T, kStrip> values, weights;
  TileRow<T, kStateTiles> keys, states;
  /// [padded chunk] each. From a token to the end of its tile, forward times dt; dt itself; the
  /// sums of log-decays.
  Shared<float> to_end, dt;
  Shared<LogSum> sums;

  __device__ TokenSumSpace(core::device::SharedMemory& memory, const Geometry& g)
      : values{memory.take<T>(TileRow<T, kStrip>::kElements)},
        weights{memory.take<T>(TileRow<T, kStrip>::kElements)},
        keys{memory.take<T>(TileRow<T, kStateTiles>::kElements)},
        states{memory.take<T>(TileRow<T, kStateTiles>::kElements)},
        to_end(memory.take<float>(g.padded_chunk())),
        dt(memory.take<float>(g.padded_chunk())),
        sums(memory.take<LogSum>(g.padded_chunk())) {}
  static int64_t bytes(const Geometry& g) {
    return 2 * TileRow<T, kStrip>::kBytes + 2 * TileRow<T, kStateTiles>::kBytes +
           16 * g.padded_chunk();
  }
  static_assert(2 * TileRow<T, kStrip>::kBytes + 2 * TileRow<T, kStateTiles>::kBytes +
                    16 * kMostChunk <=
                kMostShared);
};

/// Block (head of a chunk of a sequence, tile of head_dim).
template <class T, Direction kDirection, int kStrip>
struct TokenSumBlock : HeadPlace {
  static constexpr bool kForward = kDirection == Direction::kForward;
  const TokenSums<T>& args;
  const TokenSumSpace<T, kStrip> s;
  int p, tiles, width;     ///< width: channels of this block
  const T *values, *keys;  ///< of the first token of the chunk
  T* out;
  const float* gram;

  __device__ TokenSumBlock(const TokenSums<T>& all, core::device::SharedMemory& memory)
      : HeadPlace(all.g, blockIdx.x),
        args(all),
        s(memory, all.g),
        p(static_cast<int>(blockIdx.y) * kTile),
        tiles((tokens + kTile - 1) / kTile),
        width(min(static_cast<int>(all.g.head_dim) - p, kTile)) {
    const Geometry& g = args.g;
    const int64_t group = g.group_of(h);
    const int64_t first = c * g.chunk, channel = h * g.head_dim + p, side = g.padded_chunk();
    values = args.values.at(b, first) + channel;
    keys = args.keys.at(b, first) + group * g.state;
    out = args.out.at(b, first) + channel;
    gram = args.gram == nullptr ? nullptr : args.gram + g.group_at(b, c, group) * side * side;
  }

  __device__ int rows(int tile) const { return min(tokens - tile * kTile, kTile); }
  __device__ bool is_resident() const { return tiles <= kStrip; }

  __device__ void begin_values(int first, int last) const {
    for (int tile = first; tile <= last; ++tile) {
      begin_tile(s.values[tile % kStrip], values + tile * kTile * args.values.token_stride,
                 args.values.token_stride, {rows(tile), width}, args.g.packed);
    }
  }
  /// Tiles of the state from column n on.
  __device__ void begin_states(int n) const {
    const T* from = args.states + item * args.g.state_size() + p * args.g.state;
    const int state = static_cast<int>(args.g.state);
    for (int k = 0; k < kStateTiles && n + k * kTile < state; ++k) {
      begin_tile(s.states[k], from + n + k * kTile, state,
                 {width, min(state - n - k * kTile, kTile)}, args.g.state_packed);
    }
  }
  __device__ void begin_keys(int own, int n) const {
    const int state = static_cast<int>(args.g.state);
    for (int k = 0; k < kStateTiles && n + k * kTile < state; ++k) {
      begin_tile(s.keys[k], keys + own * kTile * args.keys.token_stride + n + k * kTile,
                 args.keys.token_stride, {rows(own), min(state - n - k * kTile, kTile)},
                 args.g.packed);
    }
  }
  __device__ void make_factors() const {
    const LogSum* sums = args.decays.of(item);
    for (int k = static_cast<int>(threadIdx.x); k < tiles * kTile; k += kThreads) {
      const float dt = k < tokens ? args.dt.at(b, c * args.g.chunk + k)[h] : 0.0f;
      const LogSum own = sums[k];
      const float decay = decay_between(sums[k / kTile * kTile + kTile - 1], own);
      s.sums[k] = own;
      s.to_end[k] = kForward ? decay * dt : decay;
      s.dt[k] = dt;
    }
  }

  /// W_ij of tile (I, J), i along the rows: forward with dt_j.
  __device__ void make_weights(int I, int J) const {
    using At = WordsOfThread<float>;
    const Tile<T> tile = s.weights[(kForward ? J : I) % kStrip];
    const int side = static_cast<int>(args.g.padded_chunk());
    const float* at = gram + (I * kTile + At::row()) * side + J * kTile + At::column();
    core::device::Words words[At::kWords];
#pragma unroll
    for (int u = 0; u < At::kWords; ++u) {
      words[u] = core::device::load_words(at + u * At::kRowStep * side);
    }
    const auto to = tile.data + (At::row() * Tile<T>::kStride + At::column());
    const auto own = s.sums + (I * kTile + At::row());
    if (I > J) {
      const LogSum end = s.sums[J * kTile + kTile - 1];
      float columns[At::kPack];
#pragma unroll
      for (int k = 0; k < At::kPack; ++k) columns[k] = s.to_end[J * kTile + At::column() + k];
#pragma unroll
      for (int u = 0; u < At::kWords; ++u) {
        const float row = decay_between(own[u * At::kRowStep], end);
        core::device::Pack<T, At::kPack> pack;
#pragma unroll
        for (int k = 0; k < At::kPack; ++k) {
          pack.value[k] = __uint_as_float(words[u].word[k]) * (row * columns[k]);
        }
        core::device::write_words(to + u * At::kRowStep * Tile<T>::kStride, pack.words());
      }
      return;
    }
    LogSum other[At::kPack];
    float dt[At::kPack];
#pragma unroll
    for (int k = 0; k < At::kPack; ++k) {
      other[k] = s.sums[J * kTile + At::column() + k];
      dt[k] = kForward ? static_cast<float>(s.dt[J * kTile + At::column() + k]) : 1.0f;
    }
    const int below = At::row() - At::column();  // the diagonal
#pragma unroll
    for (int u = 0; u < At::kWords; ++u) {
      const LogSum sum = own[u * At::kRowStep];
      core::device::Pack<T, At::kPack> pack;
#pragma unroll
      for (int k = 0; k < At::kPack; ++k) {
        pack.value[k] = k <= below + u * At::kRowStep ? __uint_as_float(words[u].word[k]) *
                                                            (decay_between(sum, other[k]) * dt[k])
                                                      : 0.0f;
      }
      core::device::write_words(to + u * At::kRowStep * Tile<T>::kStride, pack.words());
    }
  }

  /// result = decay · state · key of tile `own`, whose first tiles of keys and states are there.
  __device__ void add_states(Accumulator& result, int own) const {
    const int state = static_cast<int>(args.g.state);
    for (int n = 0; n < state; n += kStateTiles * kTile) {
      if (n > 0) {
        __syncthreads();
        begin_states(n);
        begin_keys(own, n);
        core::device::copy_async_commit();
        core::device::copy_async_wait<0>();
        __syncthreads();
      }
      for (int k = 0; k < kStateTiles && n + k * kTile < state; ++k) {
        multiply<false, true>(result, s.keys[k], s.states[k],
                              {rows(own), width, min(state - n - k * kTile, kTile)});
      }
    }
    const LogSum end = s.sums[tiles * kTile - 1];  // as at the end of the padded chunk
    result.scale_rows([&](int row) {
      const LogSum at = s.sums[own * kTile + row];
      return kForward ? decay_to(at) : decay_between(end, at);
    });
  }

  /// With the tile of values of the own tokens in shared memory.
  __device__ void store(Accumulator& result, int own) const {
    const float D = args.D == nullptr ? 0.0f : args.D[h];
    const Tile<T> tile = s.values[own % kStrip];
    T* to = out + own * kTile * args.out.token_stride;
    const int there = rows(own);
    if (!kForward) {
      result.scale_rows([&](int row) { return static_cast<float>(s.dt[own * kTile + row]); });
    }
    result.each_pair([&](int row, int column, float& low, float& high) {
      if (row >= there || column >= width) return;
      if (args.gram != nullptr) {
        const float2 value = core::device::read_pair(tile.data + (row * Tile<T>::kStride + column));
        low += D * value.x;
        high += D * value.y;
      } else {
        const T* at = to + row * args.out.token_stride + column;
        low += core::device::to_float(at[0]);
        if (column + 1 < width) high += core::device::to_float(at[1]);
      }
    });
    result.store(to, args.out.token_stride, {there, width}, args.g.packed);
  }

  __device__ void run() const {
    if (args.gram != nullptr && is_resident()) begin_values(0, tiles - 1);
    make_factors();
    __syncthreads();
    const bool keeps_states = args.states != nullptr && args.g.state <= kStateTiles * kTile;
    for (int own = 0; own < tiles; ++own) {
      if (args.states != nullptr) {
        begin_keys(own, 0);
        if (!keeps_states || own == 0) begin_states(0);
      }
      core::device::copy_async_commit();
      Accumulator result;
      const int begin = kForward ? 0 : own, end = kForward ? own : tiles - 1;
      if (args.gram == nullptr) {
        core::device::copy_async_wait<0>();
        __syncthreads();
        add_states(result, own);
        __syncthreads();
        store(result, own);
        continue;
      }
      // Strips in such an order that the own tile is in the last one.
      for (int left = end - begin; left >= 0; left -= kStrip) {
        const int first = kForward ? end - left : max(begin, begin + left - kStrip + 1);
        const int last = kForward ? min(end, first + kStrip - 1) : begin + left;
        if (!is_resident()) {
          begin_values(first, last);
          core::device::copy_async_commit();
        }
        for (int tile = first; tile <= last; ++tile) {
          make_weights(kForward ? own : tile, kForward ? tile : own);
        }
        core::device::copy_async_wait<0>();
        __syncthreads();
        if (args.states != nullptr && left == end - begin) add_states(result, own);
        for (int tile = first; tile <= last; ++tile) {
          multiply<!kForward, false>(result, s.weights[tile % kStrip], s.values[tile % kStrip],
                                     {rows(own), width, rows(tile)});
        }
        __syncthreads();
      }
      store(result, own);
      if (!is_resident()) __syncthreads();
    }
  }
};

template <class T, Direction kDirection, int kStrip>
__global__ void __launch_bounds__(kThreads, sizeof(T) == 2 ? 2 : 1) sum_tokens(TokenSums<T> args) {
  core::device::SharedMemory memory;
  TokenSumBlock<T, kDirection, kStrip>(args, memory).run();
}

template <class T, Direction kDirection, int kStrip>
void launch_sums(core::Context& context, const TokenSums<T>& args) {
  core::launch(context,
               {.blocks = args.g.batch * args.g.chunks * args.g.heads,
                .blocks_y = core::ceil_div(args.g.head_dim, kTile),
                .threads = kThreads,
                .shared_bytes = TokenSumSpace<T, kStrip>::bytes(args.g)},
               sum_tokens<T, kDirection, kStrip>, args);
}

}  // namespace

template <class T, Direction kDirection>
void run_token_sums(core::Context& context, const TokenSums<T>& args) {
  if constexpr (std::is_same_v<T, BFloat16>) {
    if (args.gram != nullptr && rows::fits<T>(context, args.g)) {
      return run_row_sums<kDirection>(context, args);
    }
    if (!has_most_shared(context)) return launch_sums<T, kDirection, kShortStrip>(context, args);
  }
  launch_sums<T, kDirection, kStrip<T>>(context, args);
}

template void run_token_sums<float, Direction::kForward>(core::Context&, const TokenSums<float>&);
template void run_token_sums<float, Direction::kBackward>(core::Context&, const TokenSums<float>&);
template void run_token_sums<BFloat16, Direction::kForward>(core::Context&,
                                                            const TokenSums<BFloat16>&);
template void run_token_sums<BFloat16, Direction::kBackward>(core::Context&,
                                                             const TokenSums<BFloat16>&);

}  // namespace longhaul::kernels::cuda::ssd
