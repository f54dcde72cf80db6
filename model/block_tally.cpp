#include "model/block_tally.h"

#include <numeric>

#include "dist/exchange_workspace.h"
#include "kernels/workspace.h"

namespace longhaul::model {

int64_t BlockTally::halo_bytes() const {
  return extents_.batch * (config_.conv_width - 1) * config_.conv_channels() *
         core::size_of(state_dtype());
}

std::vector<int64_t> BlockTally::exchange_buffers(bool forward) const {
  const int last = extents_.sequence_ranks - 1;
  return dist::exchange_workspace(
      {.algorithm = extents_.exchange,
       .ranks = extents_.sequence_ranks,
       .position = forward ? extents_.sequence_rank : last - extents_.sequence_rank,
       .boundary = forward,
       .log_decays = extents_.batch * config_.log_decays(),
       .elements = state_elements(),
       .dtype = state_dtype()});
}

std::vector<int64_t> BlockTally::halo_buffers() const {
  return dist::halo_workspace(extents_.sequence_ranks, extents_.sequence_rank, halo_bytes());
}

int64_t BlockTally::exchange_bytes() const {
  if (!extents_.is_parallel()) return 0;
  const auto states = exchange_buffers(true), halo = halo_buffers();
  return std::accumulate(states.begin(), states.end(), int64_t{0}) +
         std::accumulate(halo.begin(), halo.end(), int64_t{0});
}

std::vector<BlockTally::Block> BlockTally::exchange(bool forward) {
  std::vector<Block> blocks;
  for (const int64_t bytes : exchange_buffers(forward)) blocks.emplace_back(tally_, bytes);
  return blocks;
}

void BlockTally::row_sums(int64_t width) {
  tally_.op(kernels::row_sums_workspace(extents_.device, extents_.rows(), width, extents_.dtype));
}

void BlockTally::convolution(bool exchanges) {
  if (!exchanges) return;
  const Block halo(tally_, halo_bytes());
  tally_.op(halo_buffers());
}

void BlockTally::convolution_backward() {
  const bool exchanges = extents_.is_parallel() && extents_.full_gradient;
  const Block dhalo = exchanges ? Block(tally_, halo_bytes()) : Block();
  tally_.op(kernels::conv1d_backward_workspace({.device = extents_.device,
                                                .batch = extents_.batch,
                                                .length = extents_.length,
                                                .channels = config_.conv_channels(),
                                                .taps = config_.conv_width,
                                                .dtype = extents_.dtype}));
  if (exchanges) tally_.op(halo_buffers());
}

}  // namespace longhaul::model
