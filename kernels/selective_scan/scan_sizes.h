// Sizes of the selective scan on a device that its kernels and the plan of their memory share.
#pragma once

#include "kernels/cuda_sizes.h"

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

}  // namespace longhaul::kernels::cuda::scan
