// Backward: its stages put together, and the gradients to dt, A_log and D.
#include "kernels/core/block_sum.cuh"
#include "kernels/ssd/ssd.h"
#include "kernels/ssd/ssd_gradient.cuh"
#include "kernels/ssd/ssd_rows.cuh"

namespace longhaul::kernels::cuda {
namespace ssd {
namespace {

/// Of to_output or to_leaving: the parts of one token added.
__device__ inline float sum_halves(const Geometry& g, const float* terms, int64_t offset) {
  const int64_t part = g.batch * g.chunks * g.heads * g.padded_chunk();
  float sum = 0;
  for (int n = 0; n < g.state_halves(); ++n) sum += terms[n * part + offset];
  return sum;
}

template <class T>
__device__ TokenSum token_sum(const Gradient<T>& args, const HeadPlace& at, int t) {
  const Geometry& g = args.g;
  const TokenTerms& terms = args.tokens;
  const int tile = t / kTile, within = t % kTile;
  const int64_t offset = at.item * g.padded_chunk() + t;
  TokenSum sum;
  if (t >= at.tokens) return sum;
  sum.dt = args.dt.at(at.b, at.c * g.chunk + t)[at.h];
  if (args.intra) {
    const auto pair = [&](int I, int J) { return at.item * g.tile_pairs() + I * (I + 1) / 2 + J; };
    for (int J = 0; J <= tile; ++J) {
      const float* rows = terms.rows + pair(tile, J) * 2 * kTile + within;
      sum.rows += rows[0] + rows[kTile];
    }
    for (int I = tile; I * kTile < at.tokens; ++I) {
      sum.columns += terms.columns[pair(I, tile) * kTile + within];
    }
    const int64_t side = g.padded_chunk();
    const float* gram = args.gram + g.group_at(at.b, at.c, g.group_of(at.h)) * side * side;
    sum.diagonal = terms.dots[offset] * gram[t * side + t];
    sum.output = sum_halves(g, terms.to_output, offset);
  }
  if (args.inter) sum.leaving = sum_halves(g, terms.to_leaving, offset);
  return sum;
}

constexpr int kFinishThreads = 256, kFinishWarps = kFinishThreads / 32;

/// The sum over the threads before this one, and over all.
struct Scan {
  double before, all;
  __device__ Scan(double value, Shared<double> warps) {
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    const double sum = core::device::warp_prefix_sum(value);
    if (lane == 31) warps[warp] = sum;
    __syncthreads();
    before = sum - value;
    all = 0;
    for (int w = 0; w < kFinishWarps; ++w) {
      if (w == warp) before += all;
      all += warps[w];
    }
    __syncthreads();
  }
};

/// Block (head of a chunk of a sequence), a token a thread. dℓ_m = Σ_{j < m ≤ i} P_ij dt_j + Σ_{i ≥
/// m} to_output_i + Σ_{j < m} dt_j to_leaving_j + through; ddt = Σ_{i ≥ j} P_ij + to_leaving + A
/// dℓ.
template <class T>
__global__ void __launch_bounds__(kFinishThreads) finish_decays(Gradient<T> args) {
  core::device::SharedMemory memory;
  const Shared<double> warps = memory.take<double>(32);
  const Geometry& g = args.g;
  const HeadPlace at(g, blockIdx.x);
  const int thread = static_cast<int>(threadIdx.x);
  double outputs = 0, dots = 0;
  if (args.intra) {
    for (int t = thread; t < at.tokens; t += kFinishThreads) {
      const int64_t offset = at.item * g.padded_chunk() + t;
      outputs += static_cast<double>(sum_halves(g, args.tokens.to_output, offset));
      dots += static_cast<double>(args.tokens.dots[offset]);
    }
    outputs = core::device::block_sum(outputs, warps);
    dots = core::device::block_sum(dots, warps);
    if (thread == 0) args.sums.dy_x[at.item] = dots;
  }
  const float A = decay_rate(args.A_log[at.h]);
  double before = outputs, total = 0;
  if (args.inter) {
    double through = 0;
    const int64_t parts = args.sums.through_parts;
    for (int64_t part = thread; part < parts; part += kFinishThreads) {
      through += static_cast<double>(args.sums.through[at.item * parts + part]);
    }
    before += core::device::block_sum(through, warps);
  }
  for (int first = 0; first < at.tokens; first += kFinishThreads) {
    const int t = first + thread;
    const TokenSum sum = token_sum(args, at, t);
    const Scan scan(sum.step(), warps);
    const auto dlog_decay = static_cast<float>(before + scan.before);
    before += scan.all;
    if (t >= at.tokens) continue;
    float* ddt = args.ddt.at(at.b, at.c * g.chunk + t) + at.h;
    *ddt = (args.intra ? sum.direct() : *ddt + sum.direct()) + A * dlog_decay;
    total += static_cast<double>(sum.dt * dlog_decay);
  }
  total = core::device::block_sum(total, warps);
  if (thread == 0) args.sums.decay[at.item] = total;
}

/// Block (head): one warp, whose lanes take turns in the chunks of all sequences.
struct FinishHeads {
  Geometry g;
  const double *decay, *dy_x;
  const float* A_log;
  float *dA_log, *dD;  ///< dD or null
};
__global__ void finish_heads(FinishHeads args) {
  const int64_t h = blockIdx.x, count = args.g.batch * args.g.chunks;
  double decay = 0, dy_x = 0;
  for (int64_t i = threadIdx.x; i < count; i += 32) {
    decay += args.decay[i * args.g.heads + h];
    if (args.dD != nullptr) dy_x += args.dy_x[i * args.g.heads + h];
  }
  decay = core::device::warp_sum(decay);
  dy_x = core::device::warp_sum(dy_x);
  if (threadIdx.x != 0) return;
  args.dA_log[h] += static_cast<float>(static_cast<double>(decay_rate(args.A_log[h])) * decay);
  if (args.dD != nullptr) args.dD[h] += static_cast<float>(dy_x);
}

/// Owns what the stages hand on.
struct Terms {
  core::Tensor tokens, through, sums;
  TokenTerms token_terms;
  HeadTerms head_terms;

  Terms(core::Context& context, const Geometry& g, bool by_rows) {
    const int64_t heads = g.batch * g.chunks * g.heads, all = heads * g.padded_chunk();
    const int64_t pairs = heads * g.tile_pairs() * kTile, parts = g.state_halves() * all;
    tokens = core::Tensor(context, core::DType::kF32, {3 * pairs + all + 2 * parts});
    const int64_t through_parts = kWarps * state_parts(g.head_dim, g.state);
    through = core::Tensor(context, core::DType::kF32, {heads, through_parts});
    sums = core::Tensor(context, core::DType::kF64, {2, heads});
    float* first = tokens.data<float>();
    token_terms = {.rows = first,
                   .columns = first + 2 * pairs,
                   .dots = first + 3 * pairs,
                   .to_output = first + 3 * pairs + all,
                   .to_leaving = first + 3 * pairs + all + parts,
                   .by_rows = by_rows};
    head_terms = {.through = through.data<float>(),
                  .through_parts = through_parts,
                  .dy_x = sums.data<double>(),
                  .decay = sums.data<double>() + heads};
  }
};

Geometry geometry_for(const SsdBackward& args) {
  return geometry_of(args.x, args.B, args.chunk, args.C, args.dy, args.dx, args.dB, args.dC);
}

struct Part {
  bool intra, inter;
};

/// From dfinal_state, what leaves each chunk (with `leaving`) and what leaves the first towards the
/// initial state.
template <class T>
StateScan<T> scan_of(const SsdBackward& args, const core::TensorView& leaving) {
  return {.direction = Direction::kBackward,
          .left = Tokens<const T>(args.dy),
          .right = Tokens<const T>(args.C),
          .initial = args.dfinal_state,
          .last = args.dinitial_state,
          .entering = core::optional_pointer<T>(leaving)};
}

/// leaving: where G of each chunk goes in `part.inter`; absent without.
template <class T>
void run(core::Context& context, const Geometry& g, const SsdBackward& args, const Decays& decays,
         const core::TensorView& leaving, Part part) {
  const bool by_rows = rows::fits<T>(context, g);
  const int64_t dgram_parts =
      by_rows ? head_parts(g.batch * g.chunks * g.groups, g.heads / g.groups) : 1;
  Terms terms(context, g, by_rows);
  if (part.inter) {
    StateScan<T> scan = scan_of<T>(args, leaving);
    scan.partner = args.chunk_states.data<T>();
    scan.through = terms.head_terms.through;
    scan_states(context, g, decays, scan);
  }
  core::Tensor gram, dgram;
  if (part.intra) {
    gram = make_gram<T>(context, g, args.B, args.C);
    dgram = core::Tensor(
        context, core::DType::kF32,
        {dgram_parts * g.batch * g.chunks * g.groups, g.padded_chunk(), g.padded_chunk()});
  }
  const Gradient<T> gradient{.g = g,
                             .x = Tokens<const T>(args.x),
                             .B = Tokens<const T>(args.B),
                             .C = Tokens<const T>(args.C),
                             .dy = Tokens<const T>(args.dy),
                             .dt = Tokens<const float>(args.dt),
                             .A_log = args.A_log.data<float>(),
                             .D = core::optional_pointer<float>(args.D),
                             .entering = args.chunk_states.data<T>(),
                             .leaving = core::optional_pointer<T>(leaving),
                             .gram = core::optional_pointer<float>(gram),
                             .decays = decays,
                             .dx = Tokens<T>(args.dx),
                             .dB = Tokens<T>(args.dB),
                             .dC = Tokens<T>(args.dC),
                             .ddt = Tokens<float>(args.ddt),
                             .tokens = terms.token_terms,
                             .sums = terms.head_terms,
                             .dgram_parts = static_cast<int>(dgram_parts),
                             .intra = part.intra,
                             .inter = part.inter};
  if (part.intra) run_pairs(context, gradient, dgram);
  run_inputs(context, gradient);
  run_groups(context, gradient, dgram);
  run_decays(context, gradient, args.dA_log, part.intra ? args.dD : core::TensorView{});
}

}  // namespace

template <class T>
void run_decays(core::Context& context, const Gradient<T>& args, const core::TensorView& dA_log,
                const core::TensorView& dD) {
  const Geometry& g = args.g;
  if (args.tokens.by_rows) {
    if constexpr (std::is_same_v<T, BFloat16>) run_row_decays(context, args);
  } else {
    core::launch(context,
                 {.blocks = g.batch * g.chunks * g.heads,
                  .threads = kFinishThreads,
                  .shared_bytes = 32 * static_cast<int64_t>(sizeof(double))},
                 finish_decays<T>, args);
  }
  core::launch(context, {.blocks = g.heads, .threads = 32}, finish_heads,
               FinishHeads{.g = g,
                           .decay = args.sums.decay,
                           .dy_x = args.sums.dy_x,
                           .A_log = args.A_log,
                           .dA_log = dA_log.data<float>(),
                           .dD = core::optional_pointer<float>(dD)});
}

}  // namespace ssd

void ssd_backward(core::Context& context, const SsdBackward& args) {
  core::dispatch_device("ssd_backward", args.x.dtype(), [&]<class T>(T) {
    const ssd::Geometry g = ssd::geometry_for(args);
    const ssd::DecayStorage d = ssd::make_decays(context, g, args.dt, args.A_log);
    const core::Tensor leaving(context, args.x.dtype(), args.chunk_states.shape());
    ssd::run<T>(context, g, args, d.decays, leaving, {.intra = true, .inter = true});
  });
}

void ssd_backward_map(core::Context& context, const SsdBackward& args,
                      const core::TensorView& dstate_from_zero) {
  core::dispatch_device("ssd_backward_map", args.x.dtype(), [&]<class T>(T) {
    const ssd::Geometry g = ssd::geometry_for(args);
    const ssd::DecayStorage d = ssd::make_decays(context, g, args.dt, args.A_log);
    ssd::StateScan<T> scan = ssd::scan_of<T>(args, {});
    scan.initial = {};
    scan.last = dstate_from_zero;
    ssd::scan_states(context, g, d.decays, scan);
  });
}

void ssd_backward_intra(core::Context& context, const SsdBackward& args) {
  core::dispatch_device("ssd_backward_intra", args.x.dtype(), [&]<class T>(T) {
    const ssd::Geometry g = ssd::geometry_for(args);
    const ssd::DecayStorage d = ssd::make_decays(context, g, args.dt, args.A_log);
    ssd::run<T>(context, g, args, d.decays, {}, {.intra = true, .inter = false});
  });
}

void ssd_backward_inter(core::Context& context, const SsdBackward& args) {
  core::dispatch_device("ssd_backward_inter", args.x.dtype(), [&]<class T>(T) {
    const ssd::Geometry g = ssd::geometry_for(args);
    const ssd::DecayStorage d = ssd::make_decays(context, g, args.dt, args.A_log);
    ssd::run<T>(context, g, args, d.decays, args.dchunk_states, {.intra = false, .inter = true});
  });
}

}  // namespace longhaul::kernels::cuda
