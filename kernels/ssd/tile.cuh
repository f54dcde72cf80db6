// Tiles of 64 × 64 elements in shared memory, and how blocks of threads bring them there and back.
#pragma once

#include <type_traits>

#include "kernels/core/pack.cuh"
#include "kernels/cuda_sizes.h"

namespace longhaul::kernels::cuda::ssd {

using core::BFloat16;
using core::device::Shared;

constexpr int kThreads = 256;
/// Bytes of shared memory that a block of threads can have on sm_80; sm_90 has more.
constexpr int64_t kMostShared = int64_t{163} << 10;

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

/// Several tiles behind each other.
template <class T, int kTiles>
struct TileRow {
  static constexpr int64_t kElements = kTiles * Tile<T>::kElements;
  static constexpr int64_t kBytes = kTiles * Tile<T>::kBytes;
  Shared<T> data;
  __device__ Tile<T> operator[](int i) const {
    return {data + i * static_cast<int>(Tile<T>::kElements)};
  }
};

/// What of a tile is there; the rest, up to whole steps, is filled with zeros.
struct Extent {
  int rows, columns;
};

struct One {
  __device__ float operator()(int) const { return 1.0f; }
};

/// Sets one pack of a tile: the source's words times the row's factor, in the tile's type.
template <class S, class T, class Factor>
__device__ void put_words(const Shared<T>& to, const core::device::Words& words,
                          const Factor& factor, int row) {
  constexpr int kPack = core::device::kFull<S>;
  if constexpr (std::is_same_v<S, T> && std::is_same_v<Factor, One>) {
    core::device::write_words(to, words);
  } else {
    auto pack = core::device::Pack<S, kPack>::from(words);
    const float scale = factor(row);
    for (int k = 0; k < kPack; ++k) pack.value[k] *= scale;
    if constexpr (std::is_same_v<S, T>) {
      core::device::write_words(to, pack.words());
    } else {
      core::device::Pack<T, kPack> converted;
      for (int k = 0; k < kPack; ++k) converted.value[k] = pack.value[k];
      core::device::write_words(to, converted.words());
    }
  }
}

/// Where the words of 16 bytes of a tile lie that one thread moves: all in one column of words,
/// kRowStep rows apart.
template <class S>
struct WordsOfThread {
  static constexpr int kPack = core::device::kFull<S>, kPacks = kTile / kPack;
  static constexpr int kRowStep = kThreads / kPacks, kWords = kTile / kRowStep;
  static_assert(kThreads % kPacks == 0);
  __device__ static int row() { return static_cast<int>(threadIdx.x) / kPacks; }
  __device__ static int column() { return static_cast<int>(threadIdx.x) % kPacks * kPack; }
};

/// A tile on its way from global memory, row-major with rows of `stride`, in registers of all
/// threads of the block: fetched before other work, put into the tile behind it.
template <class S>
struct TileFetch {
  using At = WordsOfThread<S>;
  const S* source;
  int64_t stride;
  Extent extent;
  bool whole_words;  ///< else nothing is fetched before it is put
  core::device::Words words[At::kWords];

  /// `packed`: rows of the source are aligned to 16 bytes.
  __device__ TileFetch(const S* from, int64_t row_stride, Extent there, bool packed)
      : source(from),
        stride(row_stride),
        extent(there),
        whole_words(packed && there.columns % At::kPack == 0) {
    if (!whole_words) return;
    const S* at = source + At::row() * stride + At::column();
    const int64_t step = At::kRowStep * stride;
    const int rows = At::column() < extent.columns ? extent.rows - At::row() : 0;
#pragma unroll
    for (int u = 0; u < At::kWords; ++u) {
      words[u] = {};
      if (u * At::kRowStep < rows) words[u] = core::device::load_words(at);
      at += step;
    }
  }
  /// tile = factor(row) · source.
  template <class T, class Factor>
  __device__ void put(const Tile<T>& tile, const Factor& factor) const {
    const int rows = rounded(extent.rows), columns = rounded(extent.columns);
    if (whole_words) {
      if (At::column() >= columns) return;
      const auto to = tile.data + (At::row() * Tile<T>::kStride + At::column());
#pragma unroll
      for (int u = 0; u < At::kWords; ++u) {
        const int row = At::row() + u * At::kRowStep;
        if (row >= rows) continue;
        const auto place = to + u * At::kRowStep * Tile<T>::kStride;
        if (row < extent.rows) {
          put_words<S, T>(place, words[u], factor, row);
        } else {
          put_words<S, T>(place, words[u], One{}, row);
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
};

/// tile = factor(row) · source.
template <class T, class S, class Factor>
__device__ void load_tile(const Tile<T>& tile, const S* source, int64_t stride, Extent extent,
                          bool packed, const Factor& factor) {
  TileFetch<S>(source, stride, extent, packed).put(tile, factor);
}

/// The same without a factor, begun only: there after copy_async_wait and a barrier.
template <class T>
__device__ void begin_tile(const Tile<T>& tile, const T* source, int64_t stride, Extent extent,
                           bool packed) {
  using At = WordsOfThread<T>;
  if (!packed || extent.columns % At::kPack != 0) {
    load_tile(tile, source, stride, extent, packed, One{});
    return;
  }
  if (At::column() >= rounded(extent.columns)) return;
  const T* at = source + At::row() * stride + At::column();
  const int64_t step = At::kRowStep * stride;
  const auto to = tile.data + (At::row() * Tile<T>::kStride + At::column());
  const int rows = At::column() < extent.columns ? extent.rows - At::row() : 0;
  const int padded = rounded(extent.rows) - At::row();
#pragma unroll
  for (int u = 0; u < At::kWords; ++u) {
    const auto place = to + u * At::kRowStep * Tile<T>::kStride;
    if (u * At::kRowStep < rows) {
      core::device::copy_async(place, at);
    } else if (u * At::kRowStep < padded) {
      core::device::write_words(place, core::device::Words{});
    }
    at += step;
  }
}

/// The tile to rows of `stride` in global memory, all threads of the block.
template <class T>
__device__ void store_tile(const Tile<T>& tile, T* to, int64_t stride, Extent extent, bool packed) {
  using At = WordsOfThread<T>;
  if (packed && extent.columns % At::kPack == 0) {
    if (At::column() >= extent.columns) return;
    T* at = to + At::row() * stride + At::column();
    const auto from = tile.data + (At::row() * Tile<T>::kStride + At::column());
#pragma unroll
    for (int u = 0; u < At::kWords; ++u) {
      if (At::row() + u * At::kRowStep < extent.rows) {
        core::device::store_words(
            at, core::device::read_words(from + u * At::kRowStep * Tile<T>::kStride));
      }
      at += At::kRowStep * stride;
    }
    return;
  }
  for (int i = static_cast<int>(threadIdx.x); i < extent.rows * kTile; i += kThreads) {
    const int row = i / kTile, column = i % kTile;
    if (column < extent.columns)
      to[row * stride + column] = tile.data[row * Tile<T>::kStride + column];
  }
}

}  // namespace longhaul::kernels::cuda::ssd
