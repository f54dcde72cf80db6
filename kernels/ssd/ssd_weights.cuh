// The weights of the terms within a chunk, W_ij = Γ_ij e^{c_i − c_j} for tokens j ≤ i.
// Below the diagonal tiles e^{c_i − c_j} is the product of two factors, each at most 1, through the
// end of the input's tile: an exponential a token instead of one a pair.
#pragma once

#include "kernels/ssd/ssd_device.cuh"

namespace longhaul::kernels::cuda::ssd {

/// Factors of a tile pair (I, J) with I > J, in shared memory.
struct WeightFactors {
  Shared<float> rows;     ///< [64]: from the end of tile J to token i of tile I
  Shared<float> columns;  ///< [64]: from token j of tile J to its end
};

/// What one tile of weights is made of.
struct WeightTile {
  const float* gram;  ///< Γ of the tile
  int64_t gram_stride;
  const LogSum* sums;  ///< of the chunk
  int64_t I, J;
  Extent extent;  ///< rows of I, columns of J

  __device__ bool is_diagonal() const { return I == J; }
  /// e^{c_i − c_j}, 0 where j > i and outside.
  __device__ float decay(const WeightFactors& f, int i, int j) const {
    if (i >= extent.rows || j >= extent.columns) return 0.0f;
    if (!is_diagonal()) return f.rows[i] * f.columns[j];
    return j <= i ? decay_between(sums[I * kTile + i], sums[J * kTile + j]) : 0.0f;
  }
};

/// tile_ij = scale(j) W_ij. Whole tiles of gram are there to be read, whatever the extent.
template <class T, class Scale>
__device__ void load_weights(const Tile<T>& tile, const WeightTile& w, const WeightFactors& f,
                             const Scale& scale) {
  using At = WordsOfThread<float>;
  const float* at = w.gram + At::row() * w.gram_stride + At::column();
  core::device::Words words[At::kWords];
#pragma unroll
  for (int u = 0; u < At::kWords; ++u) {
    words[u] = {};
    if (At::row() + u * At::kRowStep < w.extent.rows) words[u] = core::device::load_words(at);
    at += At::kRowStep * w.gram_stride;
  }
  const auto to = tile.data + (At::row() * Tile<T>::kStride + At::column());
#pragma unroll
  for (int u = 0; u < At::kWords; ++u) {
    const int row = At::row() + u * At::kRowStep;
    if (row >= rounded(w.extent.rows)) continue;
    core::device::Pack<T, At::kPack> pack;
#pragma unroll
    for (int k = 0; k < At::kPack; ++k) {
      const int column = At::column() + k;
      const float decay = w.decay(f, row, column);
      // What was never written of gram must not come through, not even times 0.
      pack.value[k] =
          decay == 0.0f ? 0.0f : __uint_as_float(words[u].word[k]) * decay * scale(column);
    }
    core::device::write_words(to + u * At::kRowStep * Tile<T>::kStride, pack.words());
  }
}

}  // namespace longhaul::kernels::cuda::ssd
