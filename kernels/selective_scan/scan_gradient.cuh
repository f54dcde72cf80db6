// The backward pass of the selective scan within a run of chunks. A warp has 8 channels, and a
// quarter of their 16 states a thread. Of a chunk the states that enter every 8 tokens are computed
// first, from the one that entered the chunk; then, from the last 8 tokens to the first, the states
// between, which stay in registers, and what follows from them.
#pragma once

#include "kernels/selective_scan/scan_device.cuh"

namespace longhaul::kernels::cuda::scan {

/// In the notes of the CPU's backward pass: g the gradient to the state, w = g ⊙ a ⊙ h_{t−1}.
template <class T>
struct Gradient {
  Inputs<T> in;
  Tokens<const T> dy;
  Tokens<T> dx, ddt;
  const float* chunk_states;
  const float* leaving;   ///< [batch, runs, channels, state]: g behind each run; null: 0
  float* dinitial_state;  ///< or null
  float* rows;            ///< [blocks of channels, batch, length, tiles, kRowSums]
  float* sums;            ///< [batch, runs, channels · (state + 2)]: dA_log, dD, ddt_bias
};

/// A block of threads: 64 channels of a run.
template <class T>
struct GradientBlock {
  static constexpr int kThreads = kGradientThreads, kWidth = kBackwardChannels,
                       kWarps = kThreads / 32;
  static constexpr int kOwn = kStates / 4, kTokens = kPartTokens, kParts = kChunkParts;
  static constexpr int kColumnThreads = kThreads / kWidth;
  static_assert(kWarps * 8 == kWidth && kOwn * 4 == kStates);
  static_assert(kTokens * kRowSums == kThreads);

  const Gradient<T>& args;
  const Geometry& g;
  const Place place;
  const int tiles, warp, own_column;  ///< of the warp's 8 channels
  const int64_t own;                  ///< that channel, for what is done state by state …
  const int column;                   ///< … and for what is done token by token, of the 64
  const Shared<float> delta;          ///< [tokens of a chunk][64], Δ; 0 behind the last token
  const Shared<T> x, dy;              ///< the same
  const Shared<float> B, C;           ///< [tokens of a chunk][16]
  const Shared<float> dinput, dlog;   ///< [held tokens][64], g B and Σ A w
  const Shared<float> row_sums;       ///< [warps][8 tokens][kRowSums]
  const Shared<float> saved;          ///< [parts − 1][threads][4]
  float D = 0, bias = 0, dD = 0, ddt_bias = 0;  ///< of `column`
  float rate[kOwn], gradient[kOwn], dA[kOwn];
  float before[kTokens][kOwn], decay[kTokens][kOwn];

  __device__ GradientBlock(const Gradient<T>& all, SharedMemory& memory)
      : args(all),
        g(all.in.g),
        place(g, kWidth, 0, static_cast<int>(g.runs)),
        tiles(g.tiles()),
        warp(static_cast<int>(threadIdx.x) / 32),
        own_column(warp * 8 + lane() % 8),
        own(min(place.first_channel + own_column, g.channels - 1)),
        column(static_cast<int>(threadIdx.x) % kWidth),
        delta(memory.take<float>(kChunk * kWidth)),
        x(memory.take<T>(kChunk * kWidth)),
        dy(memory.take<T>(kChunk * kWidth)),
        B(memory.take<float>(kChunk * kStates)),
        C(memory.take<float>(kChunk * kStates)),
        dinput(memory.take<float>(held_tokens(tiles) * kWidth)),
        dlog(memory.take<float>(held_tokens(tiles) * kWidth)),
        row_sums(memory.take<float>(kWarps * kTokens * kRowSums)),
        saved(memory.take<float>((kParts - 1) * kThreads * kOwn)) {
    if (!column_is_there()) return;
    D = all.in.D[place.first_channel + column];
    bias = all.in.dt_bias[place.first_channel + column];
  }

  __device__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }
  __device__ static int quarter() { return lane() / 8; }
  __device__ bool own_is_there() const { return place.first_channel + own_column < g.channels; }
  __device__ bool column_is_there() const { return place.first_channel + column < g.channels; }
  /// The first of this thread's states in a tile, and how many of them there are.
  __device__ static int own_state(int tile) { return tile * kStates + quarter() * kOwn; }
  __device__ int own_count(int tile) const { return static_cast<int>(g.state) - own_state(tile); }

  __device__ void run() {
    for (int tile = 0; tile < tiles; ++tile) {
      const int state = own_state(tile), count = own_count(tile);
      load_decay_rates(args.in.A_log + own * g.state + state, count, g.packed, rate);
      const float* from = args.leaving;
      if (from != nullptr) from += g.run_state_at(place.b, place.run, own) + state;
      load_states(from, count, g.packed, gradient);
      for (int k = 0; k < kOwn; ++k) dA[k] = 0;
      for (int c = g.first_chunk(place.run + 1) - 1; c >= g.first_chunk(place.run); --c) {
        chunk(c, tile);
      }
      store_states_of(tile);
    }
    store_sums();
  }

  __device__ void chunk(int c, int tile) {
    load_tokens(c);
    load_rows(g, args.in.B, place.b, c, tile * kStates, B);
    load_rows(g, args.in.C, place.b, c, tile * kStates, C);
    __syncthreads();
    const int tokens = g.tokens(c), parts = (tokens + kTokens - 1) / kTokens;
    float entering[kOwn], state[kOwn];
    load_states(args.chunk_states + g.chunk_state_at(place.b, c, own) + own_state(tile),
                own_count(tile), g.packed, entering);
    for (int k = 0; k < kOwn; ++k) state[k] = entering[k];
    for (int part = 1; part < parts; ++part) {
      advance((part - 1) * kTokens, state);
      put_saved(part, state);
    }
    for (int part = parts - 1; part >= 0; --part) {
      for (int k = 0; k < kOwn; ++k) state[k] = entering[k];
      if (part > 0) get_saved(part, state);
      advance(part * kTokens, state);
      retreat(part * kTokens, tile, state);
      __syncthreads();
      store_rows(c, part * kTokens, tokens, tile);
      if (tiles == 1) finish(c, part * kTokens, kTokens, tokens);
      __syncthreads();
    }
    if (tiles > 1 && tile + 1 == tiles) finish(c, 0, kChunk, tokens);
  }

  /// Δ, x and dy of chunk c.
  __device__ void load_tokens(int c) {
    const int tokens = g.tokens(c);
    const int64_t first = int64_t{c} * kChunk, channel = place.first_channel + column;
#pragma unroll 4
    for (int t = static_cast<int>(threadIdx.x) / kWidth; t < kChunk; t += kColumnThreads) {
      const bool is_there = t < tokens && column_is_there();
      float step = 0;
      T own_x = core::device::from_float<T>(0), own_dy = own_x;
      if (is_there) {
        step = core::device::softplus(to_float(args.in.dt.at(place.b, first + t)[channel]) + bias);
        own_x = args.in.x.at(place.b, first + t)[channel];
        own_dy = args.dy.at(place.b, first + t)[channel];
      }
      delta[t * kWidth + column] = step;
      x[t * kWidth + column] = own_x;
      dy[t * kWidth + column] = own_dy;
    }
  }

  __device__ int saved_at(int part) const {
    return ((part - 1) * kThreads + static_cast<int>(threadIdx.x)) * kOwn;
  }
  __device__ void put_saved(int part, const float (&state)[kOwn]) const {
    const core::device::Pack<float, kOwn> four{state[0], state[1], state[2], state[3]};
    core::device::write_words(saved + saved_at(part), four.words());
  }
  __device__ void get_saved(int part, float (&state)[kOwn]) const {
    read_row(saved + saved_at(part), state);
  }

  /// The states before the 8 tokens from `first`, their decays, and in `state` the one behind.
  __device__ void advance(int first, float (&state)[kOwn]) {
#pragma unroll
    for (int i = 0; i < kTokens; ++i) {
      const int t = first + i;
      const float step = delta[t * kWidth + own_column];
      const float input = step * to_float(x[t * kWidth + own_column]);
      float b[kOwn];
      read_row(B + t * kStates + quarter() * kOwn, b);
#pragma unroll
      for (int k = 0; k < kOwn; ++k) {
        before[i][k] = state[k];
        decay[i][k] = core::device::fast_exp2(step * rate[k]);
        state[k] = fmaf(decay[i][k], state[k], input * b[k]);
      }
    }
  }

  /// From the last of the 8 tokens, behind which the state is `state`, to the first.
  __device__ void retreat(int first, int tile, float (&state)[kOwn]) {
#pragma unroll
    for (int i = kTokens - 1; i >= 0; --i) {
      const int t = first + i;
      const float step = delta[t * kWidth + own_column];
      const float input = step * to_float(x[t * kWidth + own_column]);
      const float own_dy = to_float(dy[t * kWidth + own_column]);
      float b[kOwn], c[kOwn], sums[2 * kOwn], through = 0, log_sum = 0;
      read_row(B + t * kStates + quarter() * kOwn, b);
      read_row(C + t * kStates + quarter() * kOwn, c);
#pragma unroll
      for (int k = 0; k < kOwn; ++k) {
        const float own_gradient = fmaf(own_dy, c[k], gradient[k]);
        sums[k] = own_gradient * input;
        sums[kOwn + k] = own_dy * state[k];
        through = fmaf(own_gradient, b[k], through);
        gradient[k] = own_gradient * decay[i][k];
        const float w = gradient[k] * before[i][k];
        log_sum = fmaf(rate[k], w, log_sum);
        dA[k] = fmaf(step, w, dA[k]);
        state[k] = before[i][k];
      }
      put_row_sum(i, scatter(sums));
      put_token_sums(tiles > 1 ? t : i, tile, through, log_sum);
    }
  }

  /// Of the sums of 8 values over the 8 lanes of a quarter, the one that is this lane's.
  __device__ static float scatter(float (&value)[2 * kOwn]) {
#pragma unroll
    for (int lanes = kOwn; lanes > 0; lanes /= 2) {
      const bool upper = (lane() & lanes) != 0;
#pragma unroll
      for (int k = 0; k < lanes; ++k) {
        const float keep = upper ? value[lanes + k] : value[k];
        const float give = upper ? value[k] : value[lanes + k];
        value[k] = keep + __shfl_xor_sync(0xffffffffu, give, lanes);
      }
    }
    return value[0];
  }
  /// Lane ch of a quarter has dB of its state ch, or for ch ≥ 4 dC of its state ch − 4.
  __device__ void put_row_sum(int i, float sum) const {
    const int ch = lane() % 8, state = quarter() * kOwn + ch % kOwn;
    row_sums[(warp * kTokens + i) * kRowSums + ch / kOwn * kStates + state] = sum;
  }
  /// Sums over the quarters: the first writes g B, the second Σ A w. Each adds to what it wrote for
  /// the tile before.
  __device__ void put_token_sums(int row, int tile, float through, float log_sum) const {
    const bool second = quarter() % 2 != 0;
    float sum = second ? log_sum : through;
    sum += __shfl_xor_sync(0xffffffffu, second ? through : log_sum, 8);
    sum += __shfl_xor_sync(0xffffffffu, sum, 16);
    if (quarter() > 1) return;
    const Shared<float> to = (second ? dlog : dinput) + (row * kWidth + own_column);
    to[0] = tile == 0 ? sum : sum + static_cast<float>(to[0]);
  }

  /// The warps' sums of dB and dC of the 8 tokens from `first`, one a thread.
  __device__ void store_rows(int c, int first, int tokens, int tile) const {
    const int i = static_cast<int>(threadIdx.x) / kRowSums, at = lane();
    if (first + i >= tokens) return;
    float sum = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      sum += static_cast<float>(row_sums[(w * kTokens + i) * kRowSums + at]);
    }
    const int64_t token = place.b * g.length + int64_t{c} * kChunk + first + i;
    const int64_t row = (int64_t{place.block} * g.batch * g.length + token) * tiles + tile;
    args.rows[row * kRowSums + at] = sum;
  }

  /// dx and ddt of tokens [first, first + count) of chunk c; sigmoid(raw) = 1 − e^{−Δ}.
  __device__ void finish(int c, int first, int count, int tokens) {
    if (!column_is_there()) return;
    const int64_t channel = place.first_channel + column;
    for (int i = static_cast<int>(threadIdx.x) / kWidth; i < count; i += kColumnThreads) {
      const int t = first + i;
      if (t >= tokens) break;
      const float step = delta[t * kWidth + column], own_x = to_float(x[t * kWidth + column]),
                  own_dy = to_float(dy[t * kWidth + column]);
      const float through = dinput[i * kWidth + column];
      const float log_sum = kLn2 * static_cast<float>(dlog[i * kWidth + column]);
      const float draw = fmaf(own_x, through, log_sum) * -expm1f(-step);
      const int64_t token = int64_t{c} * kChunk + t;
      args.dx.at(place.b, token)[channel] =
          core::device::from_float<T>(fmaf(step, through, D * own_dy));
      args.ddt.at(place.b, token)[channel] = core::device::from_float<T>(draw);
      dD = fmaf(own_dy, own_x, dD);
      ddt_bias += draw;
    }
  }

  __device__ float* sums_of_run() const {
    return args.sums + (place.b * g.runs + place.run) * g.channels * (g.state + 2);
  }
  __device__ void store_states_of(int tile) {
    if (!own_is_there()) return;
    const int state = own_state(tile), count = own_count(tile);
    for (int k = 0; k < kOwn; ++k) {
      if (k < count) sums_of_run()[own * g.state + state + k] = dA[k] * rate[k] * kLn2;
    }
    if (place.run != 0 || args.dinitial_state == nullptr) return;
    store_states(gradient, count, g.packed, args.dinitial_state + g.state_at(place.b, own) + state);
  }
  /// dD and ddt_bias over the threads of each column.
  __device__ void store_sums() {
    const int thread = static_cast<int>(threadIdx.x);
    __syncthreads();
    row_sums[thread] = dD;
    row_sums[kThreads + thread] = ddt_bias;
    __syncthreads();
    if (thread >= kWidth || !column_is_there()) return;
    float sum_of_D = 0, sum_of_bias = 0;
    for (int k = 0; k < kColumnThreads; ++k) {
      sum_of_D += static_cast<float>(row_sums[k * kWidth + thread]);
      sum_of_bias += static_cast<float>(row_sums[kThreads + k * kWidth + thread]);
    }
    float* to = sums_of_run() + g.channels * g.state + place.first_channel + column;
    to[0] = sum_of_D;
    to[g.channels] = sum_of_bias;
  }
};

}  // namespace longhaul::kernels::cuda::scan
