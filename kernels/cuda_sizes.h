// Sizes that the CUDA ops and the plan of their memory share; plain C++.
#pragma once

#include <algorithm>
#include <cstdint>

namespace longhaul::kernels::cuda {

/// Of cuBLASLt, as NVIDIA advises for Hopper.
constexpr int64_t kGemmWorkspace = int64_t{32} << 20;

/// Rows along the sequence that one block of the convolution's backward pass has.
constexpr int64_t kConvRows = 256;

/// An empty sequence has one tile too: its final state is its initial state.
inline int64_t conv_tiles(int64_t length) {
  return std::max<int64_t>(1, (length + kConvRows - 1) / kConvRows);
}

/// Rows whose logits are held at once: 512 MiB of them, in whole tiles of the matrix products.
inline int64_t cross_entropy_block_rows(int64_t rows, int64_t vocabulary) {
  const int64_t fitting = (int64_t{512} << 20) / (vocabulary * 4) / 128 * 128;
  return std::clamp<int64_t>(fitting, std::min<int64_t>(rows, 128), std::max<int64_t>(rows, 1));
}

/// Elements that one block of threads sums in sum_of_squares.
constexpr int64_t kSquaresBlock = 32768;

namespace ssd {
constexpr int kTile = 64;

/// Elements of a state that one warp passes on.
constexpr int64_t kThroughPart = 128;

/// Parts of a sum over a state, where warps make it.
inline int64_t through_parts(int64_t state_size) {
  return std::max<int64_t>(1, state_size / kThroughPart);
}

/// Tokens of the longest chunk, in whole tiles.
inline int64_t padded_chunk(int64_t length, int64_t chunk) {
  const int64_t longest = std::min(chunk, std::max<int64_t>(length, 1));
  return (longest + kTile - 1) / kTile * kTile;
}
}  // namespace ssd

}  // namespace longhaul::kernels::cuda
