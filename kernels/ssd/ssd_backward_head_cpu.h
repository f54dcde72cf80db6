// The gradient of one chunk of one head. Stability: the gradient to a log-decay ℓ_m is the sum over
// all pairs (input j, output i) with j < m ≤ i, where the input may be the entering state and the
// output the leaving one; row sums minus column sums of the same terms would cancel.
#pragma once

#include "kernels/ssd/ssd_chunk_cpu.h"

namespace longhaul::kernels::cpu::ssd {

template <class T>
struct BackwardArrays {
  GroupTiles<T> group;
  Decays<T> decays;
  T *x, *dy;               ///< [Q, P]
  T* x_to_end;             ///< [Q, P], to_end_j dt_j x_j
  T* dy_from_start;        ///< [Q, P], from_start_i dy_i
  T* x_transposed;         ///< [P, Q]
  T* weights;              ///< [Q, Q], as in forward
  T* pairs;                ///< [Q, Q], ⟨dy_i, x_j⟩, then times Γ_ij Π e^ℓ
  T* dgram;                ///< [Q, Q], summed over the heads of the block
  T *dB, *dC;              ///< [Q, N], summed over the heads of the block
  T* state;                ///< [P, N], working space
  T* dleaving_transposed;  ///< [N, P]
  T* dstates;  ///< [heads of the block, P, N], gradient to the state that leaves the chunk
  T *ones, *pair_sums, *straddling, *dlog_decay;  ///< [Q]
  T *entering_to_output,
      *input_to_leaving;  ///< [Q], ⟨dy_i, what S_in adds to y_i⟩; ⟨dS, what dt_j = 1 adds⟩

  template <class F>
  void each(const Geometry& g, int64_t heads, const F& f) {
    group.each(g, f);
    decays.each(g, f);
    for (T** array : {&x, &dy, &x_to_end, &dy_from_start, &x_transposed}) f(*array, g.Q * g.P);
    for (T** array : {&weights, &pairs, &dgram}) f(*array, g.Q * g.Q);
    for (T** array : {&dB, &dC}) f(*array, g.Q * g.N);
    for (T** array : {&state, &dleaving_transposed}) f(*array, g.P * g.N);
    f(dstates, heads * g.P * g.N);
    for (T** array :
         {&ones, &pair_sums, &straddling, &dlog_decay, &entering_to_output, &input_to_leaving}) {
      f(*array, g.Q);
    }
  }
};

/// Which terms a call computes; the staged form splits them.
struct Terms {
  bool intra;  ///< those that need no gradient of a state
  bool inter;  ///< those that need the gradient of the state that leaves the chunk
};

/// What one head of a chunk adds to sums over tokens.
struct HeadSums {
  double dt_dlog_decay = 0;  ///< Σ dt_t dℓ_t
  double dy_x = 0;           ///< Σ ⟨dy_t, x_t⟩
};

/// Steps of one head in one chunk, on tiles that are loaded. `leaving` is the gradient to the state
/// that leaves.
template <class T>
struct BackwardHead {
  const Geometry& g;
  BackwardArrays<T>& s;
  const int64_t tokens;
  const T* entering = nullptr;  ///< [P, N], the state that enters the chunk
  const int64_t rows = padded<T>(tokens);

  /// pairs = ⟨dy_i, x_j⟩; returns its trace.
  double load_pairs() {
    transpose(rows, g.P, s.x, g.P, s.x_transposed, g.Q);
    for_causal_tiles<T>(
        rows, [&](auto& tile, int64_t i, int64_t j) __attribute__((always_inline)) {
          tile.add(g.head_dim, s.dy + i * g.P, g.P, s.x_transposed + j, g.Q);
          tile.store(s.pairs + i * g.Q + j, g.Q);
        });
    double trace = 0;
    for (int64_t i = 0; i < tokens; ++i) trace += static_cast<double>(s.pairs[i * g.Q + i]);
    return trace;
  }

  /// weights as in forward; dgram += this head's; pairs gain Γ and the decay.
  void apply_decays(T D) {
    for_decays(
        s.decays, s.ones,
        rows, [&](int64_t i, int64_t j, Vector<T> m) __attribute__((always_inline)) {
          const int64_t at = i * g.Q + j;
          const Vector<T> gram = load(s.group.gram + at), dt = load(s.decays.dt + j);
          const Vector<T> pair = m * load(s.pairs + at);
          store<T>(s.dgram + at, load(s.dgram + at) + pair * dt);
          store<T>(s.pairs + at, pair * gram);
          store<T>(s.weights + at, m * gram * dt);
        });
    for (int64_t i = 0; i < rows; ++i) s.weights[i * g.Q + i] += D;
  }

  /// pair_sums_j = Σ_{i ≥ j} pairs_ij; straddling_m = Σ_{i ≥ m > j} pairs_ij dt_j.
  void sum_pairs() {
    const Index<T> lanes = lane_numbers<T>();
    std::fill_n(s.pair_sums, rows, T(0));
    for (int64_t i = tokens - 1; i >= 0; --i) {
      const int64_t diagonal = i / kLanes<T> * kLanes<T>;
      const T* row = s.pairs + i * g.Q;
      Vector<T> sum{};
      for (int64_t j = 0; j < diagonal; j += kLanes<T>) {
        const Vector<T> column = load(s.pair_sums + j) + load(row + j);
        store<T>(s.pair_sums + j, column);
        sum += column * load(s.decays.dt + j);
      }
      const Vector<T> column = load(s.pair_sums + diagonal) + load(row + diagonal);
      store<T>(s.pair_sums + diagonal, column);
      const Vector<T> product = column * load(s.decays.dt + diagonal);
      const auto within = static_cast<LaneNumber<T>>(i - diagonal);
      s.straddling[i] = sum_of_lanes<T>(sum + (lanes < within ? product : Vector<T>{}));
    }
  }

  void load_dy_from_start() { scale_rows(s.dy, s.decays.from_start, rows, g.P, s.dy_from_start); }

  /// dC += what the entering state's part of y gives; entering_to_output.
  void through_entering_state() {
    std::fill_n(s.entering_to_output, rows, T(0));
    if (is_zero(entering, g.P * g.N)) return;
    for_tiles<T>(
        rows, g.N, [&](auto& tile, int64_t i, int64_t j) __attribute__((always_inline)) {
          tile.add(g.head_dim, s.dy_from_start + i * g.P, g.P, entering + j, g.N);
          tile.add_dots(s.group.C + i * g.N + j, g.N, s.entering_to_output + i);
          tile.add_to(s.dC + i * g.N + j, g.N);
        });
  }

  /// dB += what the inputs' part of the leaving state gives; returns Λ ⟨S_in, dS⟩.
  double through_leaving_state(const T* leaving) {
    auto& d = s.decays;
    for (int64_t i = 0; i < rows; ++i) d.column[i] = d.to_end[i] * d.dt[i];
    scale_rows(s.x, d.column, rows, g.P, s.x_to_end);
    for_tiles<T>(
        rows, g.N, [&](auto& tile, int64_t i, int64_t j) __attribute__((always_inline)) {
          tile.add(g.head_dim, s.x_to_end + i * g.P, g.P, leaving + j, g.N);
          tile.add_to(s.dB + i * g.N + j, g.N);
        });
    transpose(g.P, g.N, leaving, g.N, s.dleaving_transposed, g.P);
    double product = 0;
    for (int64_t p = 0; p < g.head_dim; ++p) {
      Vector<T> sum{};
      for (int64_t n = 0; n < g.N; n += kLanes<T>) {
        sum += load(entering + p * g.N + n) * load(leaving + p * g.N + n);
      }
      product += static_cast<double>(sum_of_lanes<T>(sum));
    }
    return static_cast<double>(d.total) * product;
  }

  /// dx = [to_end dt dS B] + [weightsᵀ dy]; without the second term it is added. Fills
  /// input_to_leaving.
  void store_dx(Terms terms, T* dx, int64_t stride) {
    std::fill_n(s.input_to_leaving, rows, T(0));
    if (!terms.intra && !terms.inter) return;
    for_tiles<T>(
        rows, g.P, [&](auto& tile, int64_t i, int64_t j) __attribute__((always_inline)) {
          if (terms.inter) {
            tile.add(g.state, s.group.B + i * g.N, g.N, s.dleaving_transposed + j, g.P);
            tile.scale(s.decays.to_end + i);
            tile.add_dots(s.x + i * g.P + j, g.P, s.input_to_leaving + i);
            tile.scale(s.decays.dt + i);
          }
          T* at = dx + i * stride + j;
          if (terms.intra) {
            tile.add_transposed(tokens - i, s.weights + i * g.Q + i, g.Q, s.dy + i * g.P + j, g.P);
            tile.store_part(at, stride, tokens - i, g.head_dim - j);
          } else {
            tile.add_part(at, stride, tokens - i, g.head_dim - j);
          }
        });
  }

  /// take(tile, offset) for the tiles of Σ_i from_start_i dy_i C_iᵀ [P, N].
  template <class Take>
  void for_dentering(const Take& take) {
    for_tiles<T>(
        g.P, g.N, [&](auto& tile, int64_t i, int64_t j) __attribute__((always_inline)) {
          tile.add_transposed(tokens, s.dy_from_start + i, g.P, s.group.C + j, g.N);
          take(tile, i * g.N + j);
        });
  }

  /// ddt from all that was gathered; returns Σ dt_t dℓ_t. `through` = Λ ⟨S_in, dS⟩.
  double store_ddt(Terms terms, T A, double through, T* ddt, int64_t stride) {
    T* dlog_decay = s.dlog_decay;
    double after = 0, before = through, sum = 0;
    for (int64_t i = tokens - 1; i >= 0; --i) {
      if (terms.intra) after += static_cast<double>(s.entering_to_output[i]);
      dlog_decay[i] = static_cast<T>(after) + (terms.intra ? s.straddling[i] : T(0));
    }
    for (int64_t i = 0; i < tokens; ++i) {
      const T dt = s.decays.dt[i];
      T total = terms.intra ? s.pair_sums[i] : ddt[i * stride];
      if (terms.inter) {
        dlog_decay[i] += static_cast<T>(before);
        before += static_cast<double>(dt * s.input_to_leaving[i]);
        total += s.input_to_leaving[i];
      }
      ddt[i * stride] = total + A * dlog_decay[i];
      sum += static_cast<double>(dt * dlog_decay[i]);
    }
    return sum;
  }
};

}  // namespace longhaul::kernels::cpu::ssd
