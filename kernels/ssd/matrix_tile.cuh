// Products of 64 × 64 tiles on tensor cores, by blocks of four warps. bf16 operands are multiplied
// as they are; fp32 operands as two tf32 halves each, hi·hi + hi·lo + lo·hi, which leaves an error
// near that of fp32. Accumulators are fp32 always.
#pragma once

#include <type_traits>

#include "kernels/core/pack.cuh"
#include "kernels/cuda_sizes.h"

namespace longhaul::kernels::cuda::ssd {

using core::BFloat16;
using core::device::Shared;

constexpr int kThreads = 128;

/// Rows and columns of a tile that a product touches: whole steps of the matrix units.
__device__ inline int rounded(int extent) { return (extent + 15) / 16 * 16; }

/// Row-major [64, 64] with rows apart so that fragments come from different banks.
template <class T>
struct Tile {
  static constexpr int kStride = sizeof(T) == 2 ? kTile + 8 : kTile + 4;
  static constexpr int64_t kElements = kTile * kStride;
  static constexpr int64_t kBytes = kElements * static_cast<int64_t>(sizeof(T));
  Shared<T> data;

  __device__ typename std::remove_reference_t<decltype(data[0])> get(int row, int column) const {
    return data[row * kStride + column];
  }
};

/// What of a tile is there; the rest, up to whole steps, is filled with zeros.
struct Extent {
  int rows, columns;
};

/// tile = factor(row) · source, all threads of the block. Source is row-major in global memory;
/// `packed`: its rows are aligned to 16 bytes.
template <class T, class S, class Factor>
__device__ void load_tile(const Tile<T>& tile, const S* source, int64_t stride, Extent extent,
                          bool packed, const Factor& factor) {
  constexpr int kPack = core::device::kFull<S>;
  const int rows = rounded(extent.rows), columns = rounded(extent.columns);
  if (packed && extent.columns % kPack == 0) {
    const int packs = columns / kPack;
    for (int i = static_cast<int>(threadIdx.x); i < rows * packs; i += kThreads) {
      const int row = i / packs, column = i % packs * kPack;
      core::device::Pack<S, kPack> pack = {};
      if (row < extent.rows && column < extent.columns) {
        pack = core::device::Pack<S, kPack>::load(source + row * stride + column);
        const float scale = factor(row);
        for (int k = 0; k < kPack; ++k) pack.value[k] *= scale;
      }
      const Shared<T> to = tile.data + (row * Tile<T>::kStride + column);
      if constexpr (std::is_same_v<S, T>) {
        core::device::write_words(to, pack.words());
      } else {
        for (int k = 0; k < kPack; ++k) to[k] = core::device::from_float<T>(pack.value[k]);
      }
    }
    return;
  }
  for (int i = static_cast<int>(threadIdx.x); i < rows * kTile; i += kThreads) {
    const int row = i / kTile, column = i % kTile;
    if (column >= columns) continue;
    float value = 0;
    if (row < extent.rows && column < extent.columns) {
      value = core::device::to_float(source[row * stride + column]) * factor(row);
    }
    tile.data[row * Tile<T>::kStride + column] = core::device::from_float<T>(value);
  }
}
struct One {
  __device__ float operator()(int) const { return 1.0f; }
};

/// A [64, 64] result over the four warps of the block: warp w has rows 16w to 16w + 15.
struct Accumulator {
  float value[kTile / 8][4] = {};

  __device__ static int warp_row() { return static_cast<int>(threadIdx.x) / 32 * 16; }
  __device__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }

  /// visit(row, column, value&) for the elements of this thread.
  template <class Visit>
  __device__ void each(const Visit& visit) {
    const int row = warp_row() + lane() / 4, column = lane() % 4 * 2;
#pragma unroll
    for (int n = 0; n < kTile / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        visit(row + i / 2 * 8, n * 8 + column + i % 2, value[n][i]);
      }
    }
  }

  /// take(row, Σ_column term(row, column, value)) in one thread for each row.
  template <class Term, class Take>
  __device__ void sum_rows(const Term& term, const Take& take) {
    float sums[2] = {0, 0};
    each([&](int row, int column, float& v) {
      sums[(row - warp_row()) / 8] += term(row, column, v);
    });
    for (int half = 0; half < 2; ++half) {
      float sum = sums[half];
      sum += __shfl_xor_sync(0xffffffffu, sum, 1);
      sum += __shfl_xor_sync(0xffffffffu, sum, 2);
      if (lane() % 4 == 0) take(warp_row() + half * 8 + lane() / 4, sum);
    }
  }
};

/// What a product touches: A is [rows, depth], B is [depth, columns].
struct ProductExtent {
  int rows, columns, depth;
};

/// One element of op(tile) where the tile is stored transposed or not.
template <bool kTransposed>
__device__ float element(const Tile<float>& tile, int i, int j) {
  return kTransposed ? tile.data[j * Tile<float>::kStride + i]
                     : tile.data[i * Tile<float>::kStride + j];
}

struct Split {
  float high, low;
  __device__ explicit Split(float x)
      : high(core::device::round_to_tf32(x)), low(core::device::round_to_tf32(x - high)) {}
};

/// result += op(a) op(b).
template <bool kTransposeA, bool kTransposeB>
__device__ void multiply(Accumulator& result, const Tile<float>& a, const Tile<float>& b,
                         ProductExtent extent) {
  const int first = Accumulator::warp_row(), g = Accumulator::lane() / 4,
            t = Accumulator::lane() % 4;
  if (first >= extent.rows) return;
  for (int k = 0; k < rounded(extent.depth); k += 8) {
    float a_high[4], a_low[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const Split split(element<kTransposeA>(a, first + g + i % 2 * 8, k + t + i / 2 * 4));
      a_high[i] = split.high;
      a_low[i] = split.low;
    }
#pragma unroll
    for (int n = 0; n < kTile / 8; ++n) {
      if (n * 8 >= rounded(extent.columns)) break;
      float b_high[2], b_low[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const Split split(element<kTransposeB>(b, k + t + i * 4, n * 8 + g));
        b_high[i] = split.high;
        b_low[i] = split.low;
      }
      core::device::multiply_add_tf32(result.value[n], a_low, b_high);
      core::device::multiply_add_tf32(result.value[n], a_high, b_low);
      core::device::multiply_add_tf32(result.value[n], a_high, b_high);
    }
  }
}

template <bool kTransposed>
__device__ void load_fragments(const Tile<BFloat16>& tile, int row, int column,
                               uint32_t (&words)[4]) {
  const Shared<BFloat16> at = tile.data + (row * Tile<BFloat16>::kStride + column);
  if constexpr (kTransposed) {
    core::device::load_matrices_transposed(at, words);
  } else {
    core::device::load_matrices(at, words);
  }
}

template <bool kTransposeA, bool kTransposeB>
__device__ void multiply(Accumulator& result, const Tile<BFloat16>& a, const Tile<BFloat16>& b,
                         ProductExtent extent) {
  const int first = Accumulator::warp_row();
  if (first >= extent.rows) return;
  // Lane 8m + r gives row r of matrix m; matrices go (low, high) along one side, then the other.
  const int r = Accumulator::lane() % 8, inner = Accumulator::lane() / 8 % 2 * 8,
            outer = Accumulator::lane() / 16 * 8;
  for (int k = 0; k < rounded(extent.depth); k += 16) {
    uint32_t a_words[4];
    if constexpr (kTransposeA) {
      load_fragments<true>(a, k + r + outer, first + inner, a_words);
    } else {
      load_fragments<false>(a, first + r + inner, k + outer, a_words);
    }
#pragma unroll
    for (int n = 0; n < kTile; n += 16) {
      if (n >= extent.columns) break;
      uint32_t b_words[4];
      if constexpr (kTransposeB) {
        load_fragments<false>(b, n + r + outer, k + inner, b_words);
      } else {
        load_fragments<true>(b, k + r + inner, n + outer, b_words);
      }
      const uint32_t low[2] = {b_words[0], b_words[1]}, high[2] = {b_words[2], b_words[3]};
      core::device::multiply_add_bf16(result.value[n / 8], a_words, low);
      core::device::multiply_add_bf16(result.value[n / 8 + 1], a_words, high);
    }
  }
}

}  // namespace longhaul::kernels::cuda::ssd
