// The gradients to dt, and what those to A_log and D are made of, by rows: a warp has a head of a
// chunk, a lane four tokens, and nothing waits for other warps.
#include "kernels/core/block_sum.cuh"
#include "kernels/ssd/ssd_gradient.cuh"
#include "kernels/ssd/ssd_rows.cuh"

namespace longhaul::kernels::cuda::ssd {
namespace rows {
namespace {

constexpr int kTokensOfLane = kChunkOfRows / 32;

/// Of the lane's tokens; 0 where none is.
using Few = core::device::Pack<float, kTokensOfLane>;

/// Warp (head of a chunk of a sequence). As finish_decays in ssd_backward_cuda.cu.
__global__ void __launch_bounds__(kThreads) finish_rows(Gradient<BFloat16> args) {
  const Geometry& g = args.g;
  const unsigned item = blockIdx.x * kWarps + static_cast<unsigned>(warp());
  if (item >= static_cast<unsigned>(g.batch * g.chunks * g.heads)) return;
  const HeadPlace at(g, item);
  const int first = lane() * kTokensOfLane;
  const int there = min(max(at.tokens - first, 0), kTokensOfLane);
  const auto read = [&](const float* terms) {
    Few few = {};
    if (there > 0) few = Few::load(terms + at.item * g.padded_chunk() + first);
    for (int k = 0; k < kTokensOfLane; ++k) few.value[k] = k < there ? few.value[k] : 0.0f;
    return few;
  };
  TokenSum sums[kTokensOfLane];
  const auto take = [&](float TokenSum::*member, const float* terms) {
    const Few few = read(terms);
    for (int k = 0; k < kTokensOfLane; ++k) sums[k].*member = few.value[k];
  };
  const int64_t token = at.c * g.chunk + first;
  for (int k = 0; k < kTokensOfLane; ++k) {
    if (k < there) sums[k].dt = args.dt.at(at.b, token + k)[at.h];
  }
  double before = 0, dy_x = 0;
  if (args.intra) {
    take(&TokenSum::rows, args.tokens.rows);
    take(&TokenSum::columns, args.tokens.columns);
    take(&TokenSum::output, args.tokens.to_output);
    const Few dots = read(args.tokens.dots);
    const int64_t side = g.padded_chunk();
    const float* gram = args.gram + g.group_at(at.b, at.c, g.group_of(at.h)) * side * side;
    for (int k = 0; k < kTokensOfLane; ++k) {
      if (k < there) sums[k].diagonal = dots.value[k] * gram[(first + k) * (side + 1)];
      dy_x += static_cast<double>(dots.value[k]);
    }
  }
  if (args.inter) {
    take(&TokenSum::leaving, args.tokens.to_leaving);
    if (lane() < kWarps) {
      before = static_cast<double>(args.sums.through[at.item * kWarps + lane()]);
    }
  }
  double all = 0;
  for (const TokenSum& sum : sums) {
    all += sum.step();
    before += static_cast<double>(sum.output);
  }
  before = core::device::warp_sum(before) + (core::device::warp_prefix_sum(all) - all);
  const float A = decay_rate(args.A_log[at.h]);
  double total = 0;
  for (int k = 0; k < kTokensOfLane; ++k) {
    const TokenSum& sum = sums[k];
    const auto dlog_decay = static_cast<float>(before);
    before += sum.step();
    if (k >= there) continue;
    float* ddt = args.ddt.at(at.b, token + k) + at.h;
    *ddt = (args.intra ? sum.direct() : *ddt + sum.direct()) + A * dlog_decay;
    total += static_cast<double>(sum.dt * dlog_decay);
  }
  total = core::device::warp_sum(total);
  if (args.intra) dy_x = core::device::warp_sum(dy_x);
  if (lane() != 0) return;
  args.sums.decay[at.item] = total;
  if (args.intra) args.sums.dy_x[at.item] = dy_x;
}

}  // namespace
}  // namespace rows

void run_row_decays(core::Context& context, const Gradient<BFloat16>& args) {
  const Geometry& g = args.g;
  core::launch(
      context,
      {.blocks = core::ceil_div(g.batch * g.chunks * g.heads, kWarps), .threads = kThreads},
      rows::finish_rows, args);
}

}  // namespace longhaul::kernels::cuda::ssd
