// What all stages of the selective scan on the device share. A sequence is cut into runs of chunks:
// where there are several, what each run does to a state is computed first (scan_runs.cuh), and
// then every run on its own from the state that enters it. States are worked on 16 at once, the
// missing ones of a smaller state being 0; of a larger one tile after tile, in runs of one chunk.
#pragma once

#include "kernels/core/activations.cuh"
#include "kernels/core/pack.cuh"
#include "kernels/core/tokens.cuh"
#include "kernels/selective_scan/scan_sizes.h"
#include "kernels/selective_scan/selective_scan.h"

namespace longhaul::kernels::cuda::scan {

using core::device::Shared;
using core::device::SharedMemory;
using core::device::to_float;
using core::device::Tokens;

constexpr int kChunk = static_cast<int>(kScanChunk);
constexpr float kLargest = 3.402823466e38f, kLn2 = 0.693147181f;

struct Geometry {
  int64_t batch, length, channels, state, chunks, runs;
  bool packed;  ///< rows of states are aligned to 16 bytes

  __host__ __device__ int tiles() const { return static_cast<int>(state_tiles(state)); }
  __device__ int first_chunk(int run) const { return static_cast<int>(run * chunks / runs); }
  __device__ int tokens(int chunk) const {
    const int64_t rest = length - int64_t{chunk} * kChunk;
    return static_cast<int>(rest < kChunk ? rest : kChunk);
  }
  /// Of a channel in [batch, channels, state], [batch, runs, channels, state] and [batch, chunks,
  /// channels, state].
  __device__ int64_t state_at(int64_t b, int64_t c) const { return (b * channels + c) * state; }
  __device__ int64_t run_state_at(int64_t b, int run, int64_t c) const {
    return state_at(b * runs + run, c);
  }
  __device__ int64_t chunk_state_at(int64_t b, int chunk, int64_t c) const {
    return state_at(b * chunks + chunk, c);
  }
};

/// What the forms of the op read; what a form does not read may be absent.
template <class T>
struct Inputs {
  template <class Args>
  Inputs(const Args& args, int64_t width, bool entering)
      : x(args.x),
        dt(args.dt),
        B(args.B),
        C(args.C),
        dt_bias(args.dt_bias.template data<float>()),
        A_log(args.A_log.template data<float>()),
        D(core::optional_pointer<float>(args.D)) {
    const int64_t batch = args.dt.extent(0), length = args.dt.extent(1),
                  channels = args.dt.extent(2), state = args.A_log.extent(1),
                  chunks = scan_chunks(length);
    const int64_t blocks = batch * channel_blocks(channels, width);
    g = {batch,
         length,
         channels,
         state,
         chunks,
         chunk_runs(blocks, chunks, state, entering),
         core::is_aligned(args.A_log)};
  }
  /// Rows of these states are moved in words only if they are aligned too.
  void also_packed(std::initializer_list<core::TensorView> states) {
    for (const core::TensorView& view : states) g.packed = g.packed && core::is_aligned(view);
  }

  Geometry g;
  Tokens<const T> x, dt, B, C;
  const float *dt_bias, *A_log, *D;
};

/// Where a block of threads is, in [batch, `runs` from `first_run`, blocks of channels].
struct Place {
  int64_t b, first_channel;
  int run, block;

  __device__ Place(const Geometry& g, int width, int first_run, int runs) {
    const auto blocks = static_cast<unsigned>(channel_blocks(g.channels, width));
    const unsigned rest = blockIdx.x / blocks, count = static_cast<unsigned>(runs);
    block = static_cast<int>(blockIdx.x % blocks);
    first_channel = int64_t{block} * width;
    run = first_run + static_cast<int>(rest % count);
    b = rest / count;
  }
};

/// N adjacent states of a channel, of which `count` are there; absent ones are 0, and so is what a
/// null pointer points at. `packed`: all of a row's whole words of 16 bytes are aligned.
template <int N>
__device__ void load_states(const float* from, int count, bool packed, float (&value)[N]) {
  if (from == nullptr) count = 0;
  if (packed && count >= N) {
#pragma unroll
    for (int i = 0; i < N; i += 4) {
      const auto four = core::device::Pack<float, 4>::load(from + i);
#pragma unroll
      for (int k = 0; k < 4; ++k) value[i + k] = four.value[k];
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < N; ++i) value[i] = i < count ? from[i] : 0.0f;
}
template <int N>
__device__ void store_states(const float (&value)[N], int count, bool packed, float* to) {
  if (packed && count >= N) {
#pragma unroll
    for (int i = 0; i < N; i += 4) {
      core::device::Pack<float, 4>{value[i], value[i + 1], value[i + 2], value[i + 3]}.store(to +
                                                                                             i);
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < N; ++i) {
    if (i < count) to[i] = value[i];
  }
}

/// A log2 e, so that e^{Δ A} is a power of 2; finite for any A_log.
__device__ inline float decay_rate(float A_log) {
  return -fminf(expf(A_log) * core::device::kLog2E, kLargest);
}
template <int N>
__device__ void load_decay_rates(const float* A_log, int count, bool packed, float (&rate)[N]) {
  load_states(A_log, count, packed, rate);
#pragma unroll
  for (int i = 0; i < N; ++i) rate[i] = decay_rate(rate[i]);
}

/// States [first, first + 16) of the B or C of a chunk as [tokens of a chunk][16], 0 beyond what is
/// there.
template <class T>
__device__ void load_rows(const Geometry& g, const Tokens<const T>& rows, int64_t b, int chunk,
                          int first, const Shared<float>& to) {
  const int tokens = g.tokens(chunk);
  for (int e = static_cast<int>(threadIdx.x); e < kChunk * kStates;
       e += static_cast<int>(blockDim.x)) {
    const int t = e / kStates, n = first + e % kStates;
    const bool is_there = t < tokens && n < g.state;
    to[e] = is_there ? to_float(rows.at(b, int64_t{chunk} * kChunk + t)[n]) : 0.0f;
  }
}
/// N adjacent elements of such a row; N a multiple of 4.
template <int N>
__device__ void read_row(const Shared<float>& row, float (&value)[N]) {
#pragma unroll
  for (int i = 0; i < N; i += 4) {
    const core::device::Words words = core::device::read_words(row + i);
#pragma unroll
    for (int k = 0; k < 4; ++k) value[i + k] = __uint_as_float(words.word[k]);
  }
}

/// Tokens of one channel that a thread reads ahead of their use.
constexpr int kAhead = 4;
static_assert(kChunk % kAhead == 0);
template <class T>
struct Ahead {
  T step[kAhead], input[kAhead];

  /// Tokens [first, first + kAhead) of a chunk with `tokens`, in which they begin at `at`.
  __device__ void load(const T* steps, int64_t step_stride, const T* inputs, int64_t input_stride,
                       int first, int tokens) {
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      if (first + i >= tokens) break;
      step[i] = steps[(first + i) * step_stride];
      input[i] = inputs[(first + i) * input_stride];
    }
  }
};

}  // namespace longhaul::kernels::cuda::scan
