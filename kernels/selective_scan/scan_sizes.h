// Sizes of the selective scan on a device that its kernels and the plan of their memory share.
#pragma once

#include "kernels/cuda_sizes.h"
#include "kernels/selective_scan/selective_scan.h"

namespace longhaul::kernels::cuda::scan {

/// Channels of a block of threads, forward and backward, and states of a channel at once.
constexpr int kForwardChannels = 128, kBackwardChannels = 64, kStates = 16;
/// Sums of dB and dC that a block writes for each token, of 16 states.
constexpr int kRowSums = 2 * kStates;

constexpr int64_t channel_blocks(int64_t channels, int64_t width) {
  return (channels + width - 1) / width;
}
constexpr int64_t state_tiles(int64_t state) { return (state + kStates - 1) / kStates; }

/// Runs of chunks that a sequence is cut into, as ssd::chunk_runs, twice as many as there because
/// blocks are smaller; one chunk each where a channel has more states than a thread takes from
/// chunk to chunk.
inline int64_t chunk_runs(int64_t blocks, int64_t chunks, int64_t state, bool entering) {
  if (state > kStates) return std::max<int64_t>(chunks, 1);
  return ssd::chunk_runs((blocks + 1) / 2, chunks, entering);
}

/// The backward pass: threads of a block, the chunk's parts of 8 tokens, and what a block has in
/// shared memory.
constexpr int kGradientThreads = 4 * kBackwardChannels, kPartTokens = 8;
constexpr int kChunkParts = static_cast<int>(kScanChunk) / kPartTokens;
/// Tokens whose sums over states are held: of several tiles of states, all of a chunk.
constexpr int held_tokens(int64_t tiles) {
  return tiles > 1 ? static_cast<int>(kScanChunk) : kPartTokens;
}
constexpr int64_t gradient_shared_bytes(int64_t tiles, int64_t element_bytes) {
  const int64_t floats = kScanChunk * kBackwardChannels + 2 * kScanChunk * kStates +
                         2 * held_tokens(tiles) * kBackwardChannels +
                         kGradientThreads / 32 * kPartTokens * kRowSums +
                         (kChunkParts - 1) * kGradientThreads * (kStates / 4);
  return 4 * floats + 2 * kScanChunk * kBackwardChannels * element_bytes;
}

}  // namespace longhaul::kernels::cuda::scan
