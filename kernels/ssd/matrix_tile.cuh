// Products of 64 × 64 tiles on tensor cores, by blocks of eight warps. bf16 operands are multiplied
// as they are; fp32 operands as two tf32 halves each, hi·hi + hi·lo + lo·hi, which leaves an error
// near that of fp32. Accumulators are fp32 always.
#pragma once

#include "kernels/ssd/tile.cuh"

namespace longhaul::kernels::cuda::ssd {

/// The elements of a word that are there.
template <class T>
__device__ void store_word(T* to, const core::device::HalfWords& words, int there, bool aligned) {
  constexpr int kElements = 8 / static_cast<int>(sizeof(T));
  if (aligned && there >= kElements) {
    core::device::store_words(to, words);
    return;
  }
  const auto pack = core::device::Pack<T, kElements>::from(words);
  for (int k = 0; k < kElements; ++k) {
    if (k < there) to[k] = core::device::from_float<T>(pack.value[k]);
  }
}

/// A [64, 64] result over the eight warps of the block: warp w has rows 16 (w mod 4) to 16 (w mod
/// 4)
/// + 15 and half w/4 of the columns.
struct Accumulator {
  static constexpr int kHalf = kTile / 2;
  static constexpr int kSteps = kHalf / 8;  ///< of 8 columns
  float value[kSteps][4] = {};

  __device__ static int warp() { return static_cast<int>(threadIdx.x) / 32; }
  __device__ static int warp_row() { return warp() % 4 * 16; }
  __device__ static int warp_half() { return warp() / 4; }
  __device__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }
  /// First row and column of this thread's: it also has row + 8, and column + 1, + 8, + 9, …
  __device__ static int row() { return warp_row() + lane() / 4; }
  __device__ static int column() { return warp_half() * kHalf + lane() % 4 * 2; }

  /// visit(row, column, value&) for the elements of this thread.
  template <class Visit>
  __device__ void each(const Visit& visit) {
#pragma unroll
    for (int n = 0; n < kSteps; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) visit(row() + i / 2 * 8, column() + n * 8 + i % 2, value[n][i]);
    }
  }

  /// visit(row, column, value&, next value&) for pairs of adjacent columns.
  template <class Visit>
  __device__ void each_pair(const Visit& visit) {
#pragma unroll
    for (int n = 0; n < kSteps; ++n) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        visit(row() + half * 8, column() + n * 8, value[n][half * 2], value[n][half * 2 + 1]);
      }
    }
  }

  /// Where the words of eight bytes lie that each_word gives.
  template <class T>
  static constexpr int kWords = kSteps * 4 * static_cast<int>(sizeof(T)) / 8;
  template <class T>
  __device__ static int word_row(int u) {
    return row() + u % 2 * 8;
  }
  template <class T>
  __device__ static int word_column(int u) {
    if constexpr (sizeof(T) == 4) return column() + u / 2 * 8;
    return warp_half() * kHalf + (u / 2 * 2 + lane() % 2) * 8 + lane() % 4 / 2 * 4;
  }

  /// visit(u, words) for eight bytes of adjacent columns as T each. Of bf16, two threads exchange
  /// halves of what they have, so that rows are whole sectors of memory.
  template <class T, class Visit>
  __device__ void each_word(const Visit& visit) const {
#pragma unroll
    for (int u = 0; u < kWords<T>; ++u) {
      if constexpr (sizeof(T) == 4) {
        const float* two = &value[u / 2][u % 2 * 2];
        visit(u, core::device::HalfWords{{__float_as_uint(two[0]), __float_as_uint(two[1])}});
      } else {
        const float *two = &value[u / 2 * 2][u % 2 * 2], *next = &value[u / 2 * 2 + 1][u % 2 * 2];
        const uint32_t low = core::device::pack_bf16(two[0], two[1]),
                       high = core::device::pack_bf16(next[0], next[1]);
        const bool odd = lane() % 2 != 0;
        const uint32_t other = __shfl_xor_sync(0xffffffffu, odd ? low : high, 1);
        visit(u, core::device::HalfWords{{odd ? other : low, odd ? high : other}});
      }
    }
  }

  /// Row i times scale(i), which is asked once a row of this thread.
  template <class Scale>
  __device__ void scale_rows(const Scale& scale) {
    const float low = scale(row()), high = scale(row() + 8);
#pragma unroll
    for (int n = 0; n < kSteps; ++n) {
      value[n][0] *= low;
      value[n][1] *= low;
      value[n][2] *= high;
      value[n][3] *= high;
    }
  }

  /// tile = change(row, column, value) within the extent.
  template <class T, class Change>
  __device__ void to_tile(const Tile<T>& tile, Extent extent, const Change& change) {
    each([&](int row, int column, float& v) {
      if (row >= extent.rows || column >= extent.columns) return;
      tile.data[row * Tile<T>::kStride + column] =
          core::device::from_float<T>(change(row, column, v));
    });
  }

  /// To rows of `stride` in global memory, by words where their beginnings are `aligned`.
  template <class T>
  __device__ void store(T* to, int64_t stride, Extent extent, bool aligned) const {
    each_word<T>([&](int u, const core::device::HalfWords& words) {
      const int row = word_row<T>(u), column = word_column<T>(u);
      if (row >= extent.rows || column >= extent.columns) return;
      store_word(to + row * stride + column, words, extent.columns - column, aligned);
    });
  }

  /// Σ over the threads that have a row (of this warp's half of the columns), in all of them.
  __device__ static float sum_row(float sum) {
    sum += __shfl_xor_sync(0xffffffffu, sum, 1);
    return sum + __shfl_xor_sync(0xffffffffu, sum, 2);
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

/// No factors along the depth of a product.
struct Unscaled {};

struct Split {
  float high, low;
  __device__ explicit Split(float x)
      : high(core::device::round_to_tf32(x)), low(core::device::round_to_tf32(x - high)) {}
};

/// result += op(a) op(b), or op(a) diag(factors) op(b).
template <bool kTransposeA, bool kTransposeB, class Factors = Unscaled>
__device__ void multiply(Accumulator& result, const Tile<float>& a, const Tile<float>& b,
                         ProductExtent extent, const Factors& factors = {}) {
  const int first = Accumulator::warp_row(), g = Accumulator::lane() / 4,
            t = Accumulator::lane() % 4;
  const int across = Accumulator::warp_half() * Accumulator::kHalf;
  if (first >= extent.rows) return;
  for (int k = 0; k < rounded(extent.depth); k += 8) {
    float a_high[4], a_low[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float value = element<kTransposeA>(a, first + g + i % 2 * 8, k + t + i / 2 * 4);
      if constexpr (!std::is_same_v<Factors, Unscaled>) value *= factors[k + t + i / 2 * 4];
      const Split split(value);
      a_high[i] = split.high;
      a_low[i] = split.low;
    }
#pragma unroll
    for (int n = 0; n < Accumulator::kSteps; ++n) {
      if (across + n * 8 >= rounded(extent.columns)) break;
      float b_high[2], b_low[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const Split split(element<kTransposeB>(b, k + t + i * 4, across + n * 8 + g));
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

/// Two bf16 times two factors, rounded once.
__device__ inline uint32_t scaled(uint32_t word, float2 factors) {
  return core::device::pack_bf16(__uint_as_float(word << 16) * factors.x,
                                 __uint_as_float(word & 0xffff0000u) * factors.y);
}

template <bool kTransposeA, bool kTransposeB, class Factors = Unscaled>
__device__ void multiply(Accumulator& result, const Tile<BFloat16>& a, const Tile<BFloat16>& b,
                         ProductExtent extent, const Factors& factors = {}) {
  const int first = Accumulator::warp_row();
  const int across = Accumulator::warp_half() * Accumulator::kHalf;
  if (first >= extent.rows || across >= extent.columns) return;
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
    if constexpr (!std::is_same_v<Factors, Unscaled>) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {  // rows r and r + 8 of one half of the depth, then of the other
        const int at = k + i / 2 * 8 + Accumulator::lane() % 4 * 2;
        a_words[i] = scaled(a_words[i], {factors[at], factors[at + 1]});
      }
    }
#pragma unroll
    for (int n = 0; n < Accumulator::kHalf; n += 16) {
      if (across + n >= extent.columns) break;
      uint32_t b_words[4];
      if constexpr (kTransposeB) {
        load_fragments<false>(b, across + n + r + outer, k + inner, b_words);
      } else {
        load_fragments<true>(b, k + r + inner, across + n + outer, b_words);
      }
      const uint32_t low[2] = {b_words[0], b_words[1]}, high[2] = {b_words[2], b_words[3]};
      core::device::multiply_add_bf16(result.value[n / 8], a_words, low);
      core::device::multiply_add_bf16(result.value[n / 8 + 1], a_words, high);
    }
  }
}

}  // namespace longhaul::kernels::cuda::ssd
