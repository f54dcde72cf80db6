// What the forward and the backward pass of the CPU recurrence share: where the operands lie, and
// the tiles of one chunk.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/core/scratch.h"
#include "kernels/core/token_rows.h"
#include "kernels/core/vector_math.h"
#include "kernels/ssd/ssd_tile_cpu.h"
#include "kernels/workspace.h"

namespace longhaul::kernels::cpu::ssd {

using core::optional_data;
using core::Scratch;
using core::TokenRows;

struct Geometry {
  int64_t batch = 0, length = 0, heads = 0, head_dim = 0, groups = 0, state = 0;
  int64_t chunk = 0, chunks = 0;
  /// Padded extents of scratch tiles: tokens of a chunk, head_dim, state.
  int64_t Q = 0, P = 0, N = 0;

  int64_t tokens(int64_t c) const { return std::min(chunk, length - c * chunk); }
  int64_t state_size() const { return head_dim * state; }
  /// Where the state of a head begins in [batch, heads, head_dim, state] …
  int64_t state_at(int64_t b, int64_t h) const { return (b * heads + h) * state_size(); }
  /// … and in [batch, chunks, heads, head_dim, state].
  int64_t chunk_state_at(int64_t b, int64_t c, int64_t h) const {
    return ((b * chunks + c) * heads + h) * state_size();
  }
};
template <class T>
Geometry geometry_of(const SsdExtents& extents) {
  Geometry g{.batch = extents.batch,
             .length = extents.length,
             .heads = extents.heads,
             .head_dim = extents.head_dim,
             .groups = extents.groups,
             .state = extents.state};
  const int64_t chunk = g.chunk = extents.chunk;
  g.chunks = (g.length + chunk - 1) / chunk;
  g.Q = padded<T>(std::min(chunk, g.length));
  g.P = padded<T>(g.head_dim);
  g.N = padded<T>(g.state);
  return g;
}

template <class T>
Geometry geometry_of(const core::TensorView& x, const core::TensorView& B, int64_t chunk) {
  return geometry_of<T>(SsdExtents{.batch = x.extent(0),
                                   .length = x.extent(1),
                                   .heads = x.extent(2),
                                   .head_dim = x.extent(3),
                                   .groups = B.extent(2),
                                   .state = B.extent(3),
                                   .chunk = chunk});
}

/// Consecutive heads of one group. A block is computed by one thread and shares the products that
/// belong to the group.
struct HeadBlock {
  int64_t group, first, last;
};
/// The cut depends on the shape alone, so that sums over heads have one order for any number of
/// threads.
std::vector<HeadBlock> head_blocks(const Geometry& g);

/// The scratch memory of as many blocks of heads as are computed at once, the largest of them.
template <class Scratch>
Workspace scratch_workspace(const Geometry& g, int threads, int64_t element_size) {
  const std::vector<HeadBlock> blocks = head_blocks(g);
  int64_t heads = 0;
  for (const HeadBlock& block : blocks) heads = std::max(heads, block.last - block.first);
  const int64_t at_once = std::min<int64_t>(threads, g.batch * static_cast<int64_t>(blocks.size()));
  return Workspace(static_cast<size_t>(at_once), Scratch::elements(g, heads) * element_size);
}

/// Rows of a caller's tensor as a padded tile.
template <class T>
void load_tile(const T* from, int64_t stride, int64_t rows, int64_t columns, T* to, int64_t ld) {
  for (int64_t i = 0; i < rows; ++i) {
    std::memcpy(to + i * ld, from + i * stride, static_cast<size_t>(columns) * sizeof(T));
    std::fill(to + i * ld + columns, to + (i + 1) * ld, T(0));
  }
  std::fill(to + rows * ld, to + padded<T>(rows) * ld, T(0));
}
template <class T>
void store_tile(const T* from, int64_t ld, int64_t rows, int64_t columns, T* to, int64_t stride) {
  for (int64_t i = 0; i < rows; ++i) {
    std::memcpy(to + i * stride, from + i * ld, static_cast<size_t>(columns) * sizeof(T));
  }
}
/// Usually decided by the first element; spares the products of a state that is known to be 0.
template <class T>
bool is_zero(const T* values, int64_t count) {
  return std::all_of(values, values + count, [](T v) { return v == T(0); });
}
/// to = diag(factors) from, tiles of the same shape.
template <class T>
void scale_rows(const T* from, const T* factors, int64_t rows, int64_t ld, T* to) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < ld; j += kLanes<T>) {
      store<T>(to + i * ld + j, factors[i] * load(from + i * ld + j));
    }
  }
}

/// A decay below this counts as 0: its products with ordinary numbers would be subnormal, which is
/// slow and means nothing beside what was not forgotten.
template <class T>
inline constexpr T kForgotten = std::numeric_limits<T>::min() / std::numeric_limits<T>::epsilon();
template <class T>
[[gnu::always_inline]] inline Vector<T> forget(Vector<T> decay) {
  return decay < kForgotten<T> ? Vector<T>{} : decay;
}

/// A = −exp(A_log), finite for any A_log so that dt = 0 means "no decay" even then.
template <class T>
T decay_rate(T A_log) {
  return -std::min(std::exp(A_log), std::numeric_limits<T>::max());
}

/// Decays of one head in one chunk, as products of the tokens' decays: no difference of cumulative
/// sums is ever taken, so nothing cancels however long or strong the decay.
template <class T>
struct Decays {
  T* dt;          ///< [Q], 0 in the padding
  T* decay;       ///< e^{ℓ_t}, 1 in the padding
  T* from_start;  ///< Π_{s ≤ t} e^{ℓ_s}: what is left at t of the state that entered
  T* to_end;      ///< Π_{s > t} e^{ℓ_s}: what is left at the end of the chunk of t's input
  T* ramp;        ///< [lanes], working space of for_decays
  T* column;      ///< [Q], working space of for_decays
  T total;        ///< over the chunk

  template <class F>
  void each(const Geometry& g, const F& f) {
    for (T** array : {&dt, &decay, &from_start, &to_end, &column}) f(*array, g.Q);
    f(ramp, kPad<T>);
  }
  void load(const T* from, int64_t stride, T A, int64_t tokens) {
    for (int64_t i = 0; i < tokens; ++i) dt[i] = from[i * stride];
#pragma omp simd
    for (int64_t i = 0; i < tokens; ++i) decay[i] = core::vector_exp(dt[i] * A);
    const int64_t rows = padded<T>(tokens);
    std::fill(dt + tokens, dt + rows, T(0));
    std::fill(decay + tokens, decay + rows, T(1));
    const auto forget_one = [](T v) { return v < kForgotten<T> ? T(0) : v; };
    T product = 1;
    for (int64_t i = 0; i < rows; ++i) from_start[i] = product = forget_one(product * decay[i]);
    total = product;
    product = 1;
    for (int64_t i = rows - 1; i >= 0; --i) {
      to_end[i] = product;
      product = forget_one(product * decay[i]);
    }
  }
};

/// visit(i, j, m) for every vector m of M [rows, rows] that touches the diagonal or lies below it;
/// M_ij = start_j Π_{j < k ≤ i} e^{ℓ_k} for j ≤ i, else 0.
template <class T, class Visit>
[[gnu::always_inline]] inline void for_decays(const Decays<T>& d, const T* start, int64_t rows,
                                              const Visit& visit) {
  constexpr int64_t kSide = kLanes<T>;
  const Index<T> lanes = lane_numbers<T>();
  for (int64_t first = 0; first < rows; first += kSide) {
    T product = 1;
    for (int64_t i = 0; i < kSide; ++i) d.ramp[i] = product *= d.decay[first + i];
    for (int64_t j = 0; j < first; j += kSide) {
      // The row before this block of rows: M_ij of the block is that row times the ramp.
      const Vector<T> before = load(d.column + j);
      for (int64_t i = 0; i < kSide; ++i) visit(first + i, j, forget<T>(d.ramp[i] * before));
      store<T>(d.column + j, forget<T>(d.ramp[kSide - 1] * before));
    }
    const Vector<T> diagonal = load(start + first);
    Vector<T> m{};
    for (int64_t i = 0; i < kSide; ++i) {
      m *= d.decay[first + i];
      m = lanes == static_cast<LaneNumber<T>>(i) ? diagonal : m;
      visit(first + i, first, m);
    }
    store<T>(d.column + first, forget<T>(m));
  }
}

/// B and C of one chunk and group with their Gram matrix, shared by the heads of the group.
template <class T>
struct GroupTiles {
  T *B, *C;         ///< [Q, N]
  T* B_transposed;  ///< [N, Q]
  T* gram;          ///< [Q, Q], C_i·B_j; only tiles that touch j ≤ i are filled

  template <class F>
  void each(const Geometry& g, const F& f) {
    for (T** array : {&B, &C, &B_transposed}) f(*array, g.Q * g.N);
    f(gram, g.Q * g.Q);
  }
  void load_gram(const Geometry& g, int64_t rows) {
    transpose(rows, g.N, B, g.N, B_transposed, g.Q);
    for_causal_tiles<T>(
        rows, [&](auto& tile, int64_t i, int64_t j) __attribute__((always_inline)) {
          tile.add(g.state, C + i * g.N, g.N, B_transposed + j, g.Q);
          tile.store(gram + i * g.Q + j, g.Q);
        });
  }
};

}  // namespace longhaul::kernels::cpu::ssd
