// What both directions of the selective scan on the CPU share: a block of channels of one sequence,
// walked chunk by chunk with its states in cache, channels along the vectors.
#pragma once

#include <algorithm>
#include <limits>

#include "kernels/core/parallel.h"
#include "kernels/core/scratch.h"
#include "kernels/core/token_rows.h"
#include "kernels/core/unrolled.h"
#include "kernels/core/vector_math.h"
#include "kernels/selective_scan/selective_scan.h"
#include "kernels/workspace.h"

namespace longhaul::kernels::cpu::scan {

struct Geometry {
  int64_t batch, length, channels, state;
  int64_t chunks = scan_chunks(length);
  /// Of a block, padded to whole vectors. Blocks depend on the shape alone, so that sums over
  /// channels have one order for any number of threads.
  int64_t width = std::min<int64_t>(64, (channels + 15) / 16 * 16);
  int64_t blocks = (channels + width - 1) / width;

  int64_t tokens(int64_t c) const { return std::min(kScanChunk, length - c * kScanChunk); }
  /// Elements of a block's states, [state][width].
  int64_t states() const { return state * width; }
};

/// What the forms of the op read; what a form does not read may be absent.
template <class T>
struct Inputs {
  template <class Args>
  explicit Inputs(const Args& args)
      : g{args.dt.extent(0), args.dt.extent(1), args.dt.extent(2), args.A_log.extent(1)},
        x(args.x),
        dt(args.dt),
        B(args.B),
        C(args.C),
        dt_bias(args.dt_bias.template data<T>()),
        A_log(args.A_log.template data<T>()),
        D(core::optional_data<T>(args.D)) {}

  Geometry g;
  core::TokenRows<T> x, dt, B, C;
  const T *dt_bias, *A_log, *D;
};

template <class T>
struct BlockArrays {
  T *A, *state;     ///< [state][width]; of forward: h, of backward: its gradient
  T *rows, *delta;  ///< [tokens of a chunk][width]; rows: x, or dy where that alone is read
  T *dt_bias, *D;   ///< [width]
  template <class F>
  void each(const Geometry& g, const F& f) {
    for (T** array : {&A, &state}) f(*array, g.states());
    for (T** array : {&rows, &delta}) f(*array, kScanChunk * g.width);
    for (T** array : {&dt_bias, &D}) f(*array, g.width);
  }
};

/// One block of channels of one sequence: its place, and how its rows are read and written.
template <class T>
struct Block {
  Block(const Geometry& geometry, int64_t item)
      : g(geometry),
        b(item / g.blocks),
        number(item % g.blocks),
        first(number * g.width),
        count(std::min(g.width, g.channels - first)) {}

  const Geometry& g;
  const int64_t b, number, first, count;

  /// Of `row`, which has all channels; 0 in the padding.
  void load_row(const T* row, T* to) const {
    std::copy_n(row + first, count, to);
    std::fill(to + count, to + g.width, T(0));
  }
  void load_rows(const core::TokenRows<T>& rows, int64_t c, T* to) const {
    for (int64_t i = 0; i < g.tokens(c); ++i) {
      load_row(rows.at(b, c * kScanChunk + i), to + i * g.width);
    }
  }
  void store_row(const T* from, const core::TokenRows<T>& rows, int64_t t) const {
    std::copy_n(from, count, rows.at(b, t) + first);
  }

  /// Of [channels, state] to [state][width], and back.
  void load_transposed(const T* from, T* to) const {
    for (int64_t n = 0; n < g.state; ++n) {
      for (int64_t c = 0; c < count; ++c) to[n * g.width + c] = from[(first + c) * g.state + n];
      std::fill(to + n * g.width + count, to + (n + 1) * g.width, T(0));
    }
  }
  void store_transposed(const T* from, T* to) const {
    for (int64_t c = 0; c < count; ++c) {
      for (int64_t n = 0; n < g.state; ++n) to[(first + c) * g.state + n] = from[n * g.width + c];
    }
  }
  /// Of this sequence's state in [batch, channels, state]; null is 0.
  void load_state(const T* from, T* to) const {
    if (from == nullptr) {
      std::fill_n(to, g.states(), T(0));
    } else {
      load_transposed(from + b * g.channels * g.state, to);
    }
  }
  void store_state(const T* from, T* to) const {
    store_transposed(from, to + b * g.channels * g.state);
  }
  /// Where chunk c of this sequence begins in [batch, chunks, channels, state].
  int64_t chunk_state_at(int64_t c) const { return (b * g.chunks + c) * g.channels * g.state; }

  /// A = −exp(A_log), finite for any A_log.
  void load_decay_rates(const T* A_log, T* A) const {
    load_transposed(A_log, A);
#pragma omp simd
    for (int64_t i = 0; i < g.states(); ++i) {
      const T rate = core::vector_exp(A[i]);
      A[i] = rate > std::numeric_limits<T>::max() ? std::numeric_limits<T>::lowest() : -rate;
    }
  }
  /// A, dt_bias and D.
  void load_parameters(const Inputs<T>& in, const BlockArrays<T>& to) const {
    load_decay_rates(in.A_log, to.A);
    load_row(in.dt_bias, to.dt_bias);
    if (in.D) load_row(in.D, to.D);
  }
  /// raw += bias; Δ = softplus(raw) of the tokens of chunk c. `raw` and `delta` may be one.
  void load_time_steps(const Inputs<T>& in, int64_t c, const T* bias, T* raw, T* delta) const {
    load_rows(in.dt, c, raw);
    for (int64_t i = 0; i < g.tokens(c) * g.width; i += g.width) {
#pragma omp simd
      for (int64_t k = 0; k < g.width; ++k) {
        raw[i + k] += bias[k];
        delta[i + k] = core::softplus(raw[i + k]);
      }
    }
  }
};

/// States of a token that are worked on at once, so that they share loads.
inline constexpr int kTogether = 4;
/// body(n, std::integral_constant<int, R>) for states [n, n + R), R = kTogether as long as it goes.
template <class Body>
void for_states(int64_t state, const Body& body) {
  int64_t n = 0;
  for (; n + kTogether <= state; n += kTogether) {
    body(n, std::integral_constant<int, kTogether>{});
  }
  for (; n < state; ++n) body(n, std::integral_constant<int, 1>{});
}

/// Working memory of as many blocks as are computed at once.
template <class Scratch>
Workspace scratch_workspace(const Geometry& g, int threads, int64_t element_size) {
  const int64_t at_once = std::min<int64_t>(threads, g.batch * g.blocks);
  return Workspace(static_cast<size_t>(at_once), Scratch::elements(g) * element_size);
}
inline Geometry geometry_of(const ScanExtents& e) {
  return {e.batch, e.length, e.channels, e.state};
}

}  // namespace longhaul::kernels::cpu::scan
