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
constexpr int64_t kMostShared = kSharedOfFullDevices;

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

/// The source's words in the tile's type.
template <class S, class T>
__device__ void put_words(const Shared<T>& to, const core::device::Words& words) {
  if constexpr (std::is_same_v<S, T>) {
    core::device::write_words(to, words);
  } else {
    constexpr int kPack = core::device::kFull<S>;
    const auto pack = core::device::Pack<S, kPack>::from(words);
    core::device::Pack<T, kPack> converted;
    for (int k = 0; k < kPack; ++k) converted.value[k] = pack.value[k];
    core::device::write_words(to, converted.words());
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

/// tile = source, row-major with rows of `stride` in global memory, all threads of the block.
/// `packed`: its rows are aligned to 16 bytes.
template <class T, class S>
__device__ void load_tile(const Tile<T>& tile, const S* source, int64_t stride, Extent extent,
                          bool packed) {
  using At = WordsOfThread<S>;
  const int rows = rounded(extent.rows), columns = rounded(extent.columns);
  if (packed && extent.columns % At::kPack == 0) {
    if (At::column() >= columns) return;
    const S* at = source + At::row() * stride + At::column();
    const int there = At::column() < extent.columns ? extent.rows - At::row() : 0;
    core::device::Words words[At::kWords];
#pragma unroll
    for (int u = 0; u < At::kWords; ++u) {
      words[u] = {};
      if (u * At::kRowStep < there) words[u] = core::device::load_words(at);
      at += At::kRowStep * stride;
    }
    const auto to = tile.data + (At::row() * Tile<T>::kStride + At::column());
#pragma unroll
    for (int u = 0; u < At::kWords; ++u) {
      if (At::row() + u * At::kRowStep >= rows) continue;
      put_words<S, T>(to + u * At::kRowStep * Tile<T>::kStride, words[u]);
    }
    return;
  }
  for (int i = static_cast<int>(threadIdx.x); i < rows * kTile; i += kThreads) {
    const int row = i / kTile, column = i % kTile;
    if (column >= columns) continue;
    float value = 0;
    if (row < extent.rows && column < extent.columns) {
      value = core::device::to_float(source[row * stride + column]);
    }
    tile.data[row * Tile<T>::kStride + column] = core::device::from_float<T>(value);
  }
}

/// The same in the tile's type, begun only: there after copy_async_wait and a barrier.
template <class T>
__device__ void begin_tile(const Tile<T>& tile, const T* source, int64_t stride, Extent extent,
                           bool packed) {
  using At = WordsOfThread<T>;
  if (!packed || extent.columns % At::kPack != 0) {
    load_tile(tile, source, stride, extent, packed);
    return;
  }
  if (At::column() >= rounded(extent.columns)) return;
  const T* at = source + At::row() * stride + At::column();
  const int64_t step = At::kRowStep * stride;
  const auto to = tile.data + (At::row() * Tile<T>::kStride + At::column());
  if (extent.rows == kTile && extent.columns == kTile) {  // most are, and ask nothing more
#pragma unroll
    for (int u = 0; u < At::kWords; ++u) {
      core::device::copy_async(to + u * At::kRowStep * Tile<T>::kStride, at);
      at += step;
    }
    return;
  }
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

}  // namespace longhaul::kernels::cuda::ssd
