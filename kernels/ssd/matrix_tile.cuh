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

/// Of two columns of a lane and of its two that are eight behind, as bf16: eight bytes of adjacent
/// columns, after an exchange with the lane beside it. Even lanes then have the first of the four.
__device__ inline core::device::HalfWords exchange_halves(const float* two, const float* behind) {
  const uint32_t low = core::device::pack_bf16(two[0], two[1]),
                 high = core::device::pack_bf16(behind[0], behind[1]);
  const bool odd = threadIdx.x % 2 != 0;
  const uint32_t other = __shfl_xor_sync(0xffffffffu, odd ? low : high, 1);
  return {{odd ? other : low, odd ? high : other}};
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
        visit(u, exchange_halves(&value[u / 2 * 2][u % 2 * 2], &value[u / 2 * 2 + 1][u % 2 * 2]));
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

/// Of op(a), what one thread has in one step of a product's depth.
template <class T>
struct LeftFragment;

template <>
struct LeftFragment<float> {
  static constexpr int kDepth = 8;
  float high[4], low[4];
};

template <bool kTransposed, class Factors>
__device__ LeftFragment<float> load_left(const Tile<float>& a, int k, const Factors& factors) {
  const int row = Accumulator::row(), t = Accumulator::lane() % 4;
  LeftFragment<float> left;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int at = k + t + i / 2 * 4;
    float value = element<kTransposed>(a, row + i % 2 * 8, at);
    if constexpr (!std::is_same_v<Factors, Unscaled>) value *= factors[at];
    const Split split(value);
    left.high[i] = split.high;
    left.low[i] = split.low;
  }
  return left;
}

template <bool kTransposed>
__device__ void multiply_add(Accumulator& result, const LeftFragment<float>& left,
                             const Tile<float>& b, int k, int columns) {
  const int g = Accumulator::lane() / 4, t = Accumulator::lane() % 4;
  const int across = Accumulator::warp_half() * Accumulator::kHalf;
#pragma unroll
  for (int n = 0; n < Accumulator::kSteps; ++n) {
    if (across + n * 8 >= columns) break;
    float b_high[2], b_low[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const Split split(element<kTransposed>(b, k + t + i * 4, across + n * 8 + g));
      b_high[i] = split.high;
      b_low[i] = split.low;
    }
    core::device::multiply_add_tf32(result.value[n], left.low, b_high);
    core::device::multiply_add_tf32(result.value[n], left.high, b_low);
    core::device::multiply_add_tf32(result.value[n], left.high, b_high);
  }
}

template <>
struct LeftFragment<BFloat16> {
  static constexpr int kDepth = 16;
  uint32_t words[4];  ///< rows r, r + 8 of the first half of the depth, then of the second
};

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
  const float2 two = core::device::unpack_bf16(word);
  return core::device::pack_bf16(two.x * factors.x, two.y * factors.y);
}

/// Lane 8m + r gives row r of matrix m; matrices go (low, high) along one side, then the other.
struct MatrixLane {
  int r = Accumulator::lane() % 8, inner = Accumulator::lane() / 8 % 2 * 8,
      outer = Accumulator::lane() / 16 * 8;
};

template <bool kTransposed, class Factors>
__device__ LeftFragment<BFloat16> load_left(const Tile<BFloat16>& a, int k,
                                            const Factors& factors) {
  const int first = Accumulator::warp_row();
  const MatrixLane lane;
  LeftFragment<BFloat16> left;
  if constexpr (kTransposed) {
    load_fragments<true>(a, k + lane.r + lane.outer, first + lane.inner, left.words);
  } else {
    load_fragments<false>(a, first + lane.r + lane.inner, k + lane.outer, left.words);
  }
  if constexpr (!std::is_same_v<Factors, Unscaled>) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float2 two =
          core::device::read_pair(factors + (k + half * 8 + Accumulator::lane() % 4 * 2));
      left.words[half * 2] = scaled(left.words[half * 2], two);
      left.words[half * 2 + 1] = scaled(left.words[half * 2 + 1], two);
    }
  }
  return left;
}

template <bool kTransposed>
__device__ void multiply_add(Accumulator& result, const LeftFragment<BFloat16>& left,
                             const Tile<BFloat16>& b, int k, int columns) {
  const int across = Accumulator::warp_half() * Accumulator::kHalf;
  const MatrixLane lane;
#pragma unroll
  for (int n = 0; n < Accumulator::kHalf; n += 16) {
    if (across + n >= columns) break;
    uint32_t words[4];
    if constexpr (kTransposed) {
      load_fragments<false>(b, across + n + lane.r + lane.outer, k + lane.inner, words);
    } else {
      load_fragments<true>(b, k + lane.r + lane.inner, across + n + lane.outer, words);
    }
    const uint32_t low[2] = {words[0], words[1]}, high[2] = {words[2], words[3]};
    core::device::multiply_add_bf16(result.value[n / 8], left.words, low);
    core::device::multiply_add_bf16(result.value[n / 8 + 1], left.words, high);
  }
}

/// results[i] += op(a) op(b[i]), or op(a) diag(factors) op(b[i]); the columns of all b lie behind
/// each other.
template <bool kTransposeA, bool kTransposeB, int kTiles, class T, class Factors = Unscaled>
__device__ void multiply(Accumulator (&results)[kTiles], const Tile<T>& a,
                         const TileRow<T, kTiles>& b, ProductExtent extent,
                         const Factors& factors = {}) {
  if (Accumulator::warp_row() >= extent.rows) return;
  for (int k = 0; k < rounded(extent.depth); k += LeftFragment<T>::kDepth) {
    const LeftFragment<T> left = load_left<kTransposeA>(a, k, factors);
#pragma unroll
    for (int i = 0; i < kTiles; ++i) {
      multiply_add<kTransposeB>(results[i], left, b[i], k, extent.columns - i * kTile);
    }
  }
}

/// result += op(a) op(b).
template <bool kTransposeA, bool kTransposeB, class T>
__device__ void multiply(Accumulator& result, const Tile<T>& a, const Tile<T>& b,
                         ProductExtent extent) {
  if (Accumulator::warp_row() >= extent.rows) return;
  if (Accumulator::warp_half() * Accumulator::kHalf >= extent.columns) return;
  for (int k = 0; k < rounded(extent.depth); k += LeftFragment<T>::kDepth) {
    multiply_add<kTransposeB>(result, load_left<kTransposeA>(a, k, Unscaled{}), b, k,
                              extent.columns);
  }
}

}  // namespace longhaul::kernels::cuda::ssd
