// Sizes that the CUDA ops and the plan of their memory share; plain C++.
#pragma once

#include <algorithm>
#include <cstdint>

namespace longhaul::kernels::cuda {

/// Bytes of shared memory that a block of threads can have on sm_80, and more on sm_90 and sm_100.
/// Devices with less (sm_86, sm_89, sm_120) compute in bf16 only.
constexpr int64_t kSharedOfFullDevices = int64_t{163} << 10, kSharedOfSmallDevices = 99 << 10;

/// Of cuBLASLt, as NVIDIA advises for Hopper.
constexpr int64_t kGemmWorkspace = int64_t{32} << 20;

/// Rows along the sequence that one block of the convolution's backward pass has.
constexpr int64_t kConvRows = 256;

/// An empty sequence has one tile too: its final state is its initial state.
inline int64_t conv_tiles(int64_t length) {
  return std::max<int64_t>(1, (length + kConvRows - 1) / kConvRows);
}

/// Rows of the cross-entropy that are held at once: as logits in fp32, and as their gradients,
/// which are multiplied with all of the head's weight and added to all of its gradient.
struct CrossEntropyRows {
  int64_t logits, gradients;
};
/// Both in even parts and whole tiles of the matrix products. fp32: gradients take the place of 512
/// MiB of logits. bf16 (`rounded`): half as many logits, and gradients, of two bytes, in the rest
/// of what as many rows of both would take.
inline CrossEntropyRows cross_entropy_rows(int64_t rows, int64_t vocabulary, bool rounded) {
  constexpr int64_t kTileRows = 128;
  const auto tiles = [](int64_t count) {
    return std::max<int64_t>(count / kTileRows, 1) * kTileRows;
  };
  const auto part = [](int64_t of, int64_t most) {
    const int64_t parts = std::max<int64_t>((of + most - 1) / most, 1);
    const int64_t even = (of + parts - 1) / parts;
    const int64_t whole = (even + kTileRows - 1) / kTileRows * kTileRows;
    return std::clamp<int64_t>(whole, 1, std::max<int64_t>(of, 1));
  };
  const int64_t most = tiles((int64_t{512} << 20) / (vocabulary * 4));
  const int64_t most_logits = rounded ? tiles(most / 2) : most;
  const int64_t gradients = part(rows, 3 * most - 2 * most_logits);
  return {part(gradients, most_logits), gradients};
}

/// Elements from one row of those logits to the next: rows begin at multiples of 16 bytes in bf16
/// too, which fast algorithms of the products ask for.
constexpr int64_t logits_stride(int64_t vocabulary) { return (vocabulary + 7) / 8 * 8; }

/// Elements that one block of threads sums in sums_of_squares.
constexpr int64_t kSquaresBlock = 32768;
constexpr int64_t squares_blocks(int64_t elements) {
  return (elements + kSquaresBlock - 1) / kSquaresBlock;
}

namespace ssd {
constexpr int kTile = 64;

/// Tiles of the state that one block of threads passes from chunk to chunk, and its warps.
constexpr int kStateTiles = 2, kWarps = 8;

/// Blocks along the state.
constexpr int64_t state_blocks(int64_t state) {
  constexpr int64_t kAcross = int64_t{kStateTiles} * kTile;
  return (state + kAcross - 1) / kAcross;
}
/// Blocks that pass on the state of one head.
constexpr int64_t state_parts(int64_t head_dim, int64_t state) {
  return (head_dim + kTile - 1) / kTile * state_blocks(state);
}

/// Runs of chunks that a sequence is cut into, so that `blocks`, those of all sequences, are enough
/// for a device: what each run adds is then computed first. Where what enters each chunk is wanted
/// too (`entering`), the tokens are read twice, so that two runs would take as long as one.
inline int64_t chunk_runs(int64_t blocks, int64_t chunks, bool entering) {
  constexpr int64_t kEnough = 256;
  const int64_t runs =
      std::clamp<int64_t>(kEnough / std::max<int64_t>(blocks, 1), 1, std::max<int64_t>(chunks, 1));
  return entering && runs == 2 ? 1 : runs;
}

/// Chunks of so many tokens at most, of heads and states of this size, have kernels of their own
/// (ssd_rows.cuh).
constexpr int kChunkOfRows = 128, kHeadDimOfRows = 64, kStateOfRows = 128;
constexpr bool goes_by_rows(int64_t padded_chunk, int64_t head_dim, int64_t state) {
  return padded_chunk <= kChunkOfRows && head_dim == kHeadDimOfRows && state == kStateOfRows;
}
/// How blocks of threads for parts of the heads run: so many at once, a part costing as much as so
/// many heads besides its own.
struct PartWaves {
  int64_t slots, most_parts, heads_of_cost;
};
/// Parts that the heads of a group are cut into. `blocks`, those of all chunks and groups without
/// parts, take as long as their waves times a part's heads and its cost: the least of that.
inline int64_t parts_of_least_time(int64_t blocks, int64_t heads_of_group, const PartWaves& waves) {
  const auto ceil_div = [](int64_t count, int64_t size) { return (count + size - 1) / size; };
  const auto time = [&](int64_t parts) {
    return ceil_div(blocks * parts, waves.slots) *
           (ceil_div(heads_of_group, parts) + waves.heads_of_cost);
  };
  int64_t best = 1;
  for (int64_t parts = 2; parts <= std::min(heads_of_group, waves.most_parts); ++parts) {
    if (time(parts) < time(best)) best = parts;
  }
  return best;
}
/// Of an H100.
constexpr int64_t kMultiprocessors = 132;
/// Where sums over heads are taken in one block of threads a multiprocessor: the parts' sums are
/// written, and added in order.
inline int64_t head_parts(int64_t blocks, int64_t heads_of_group) {
  return parts_of_least_time(blocks, heads_of_group, {kMultiprocessors, 8, 4});
}
/// Of y and of dx, by two blocks a multiprocessor: Γ and the keys are read again for each part, as
/// many bytes as one or two heads have.
inline int64_t token_parts(int64_t blocks, int64_t heads_of_group) {
  return parts_of_least_time(blocks, heads_of_group, {2 * kMultiprocessors, heads_of_group, 2});
}
/// Of the gradients to B and to C: `chunks` are those of all groups.
inline int64_t gradient_parts(int64_t chunks, int64_t heads_of_group) {
  return head_parts(2 * chunks, heads_of_group);
}

/// Tokens of the longest chunk, in whole tiles.
inline int64_t padded_chunk(int64_t length, int64_t chunk) {
  const int64_t longest = std::min(chunk, std::max<int64_t>(length, 1));
  return (longest + kTile - 1) / kTile * kTile;
}
}  // namespace ssd

}  // namespace longhaul::kernels::cuda
