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

/// Σ over the lanes before this one.
__device__ double sum_before(double value) {
  double sum = value;
  for (int lanes = 1; lanes < 32; lanes *= 2) {
    const double other = __shfl_up_sync(core::device::kAllLanes, sum, lanes);
    if (lane() >= lanes) sum += other;
  }
  return sum - value;
}

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
  Few dt = {}, rows = {}, columns = {}, dots = {}, output = {}, leaving = {}, diagonal = {};
  const int64_t token = at.c * g.chunk + first;
  for (int k = 0; k < kTokensOfLane; ++k) {
    if (k < there) dt.value[k] = args.dt.at(at.b, token + k)[at.h];
  }
  if (args.intra) {
    rows = read(args.tokens.rows);
    columns = read(args.tokens.columns);
    dots = read(args.tokens.dots);
    output = read(args.tokens.to_output);
    const int64_t side = g.padded_chunk();
    const float* gram = args.gram + g.group_at(at.b, at.c, g.group_of(at.h)) * side * side;
    for (int k = 0; k < kTokensOfLane; ++k) {
      if (k < there) diagonal.value[k] = dots.value[k] * gram[(first + k) * (side + 1)];
    }
  }
  double before = 0;
  if (args.inter) {
    leaving = read(args.tokens.to_leaving);
    if (lane() < kWarps) {
      before = static_cast<double>(args.sums.through[at.item * kWarps + lane()]);
    }
  }
  // What a step from each token to the next changes of dℓ (TokenSum::step), in double: nothing
  // cancels.
  double steps[kTokensOfLane], all = 0, dy_x = 0;
  for (int k = 0; k < kTokensOfLane; ++k) {
    steps[k] = static_cast<double>(dt.value[k] * columns.value[k]) -
               static_cast<double>(rows.value[k]) - static_cast<double>(output.value[k]) +
               static_cast<double>(dt.value[k] * leaving.value[k]);
    all += steps[k];
    before += static_cast<double>(output.value[k]);
    dy_x += static_cast<double>(dots.value[k]);
  }
  before = core::device::warp_sum(before) + sum_before(all);
  const float A = decay_rate(args.A_log[at.h]);
  double total = 0;
  for (int k = 0; k < kTokensOfLane; ++k) {
    const auto dlog_decay = static_cast<float>(before);
    before += steps[k];
    if (k >= there) continue;
    float* ddt = args.ddt.at(at.b, token + k) + at.h;
    const float direct = columns.value[k] + diagonal.value[k] + leaving.value[k];
    *ddt = (args.intra ? direct : *ddt + direct) + A * dlog_decay;
    total += static_cast<double>(dt.value[k] * dlog_decay);
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
