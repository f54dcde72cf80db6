// Backward: its stages put together, and the gradients to dt, A_log and D.
#include "kernels/core/block_sum.cuh"
#include "kernels/ssd/ssd.h"
#include "kernels/ssd/ssd_gradient.cuh"

namespace longhaul::kernels::cuda {
namespace ssd {
namespace {

/// Block: one head of one chunk. e^{c_Q} ⟨S, G⟩.
struct Through {
  Geometry g;
  Decays decays;
  const float *entering, *leaving;
  float* through;
};
__global__ void through_terms(Through args) {
  const int64_t item = blockIdx.x, first = item * args.g.state_size();
  float sum = 0;
  for (int64_t i = threadIdx.x; i < args.g.state_size(); i += 32) {
    sum += args.entering[first + i] * args.leaving[first + i];
  }
  sum = core::device::warp_sum(sum);
  if (threadIdx.x == 0) args.through[item] = sum * args.decays.over_chunk(item);
}

/// Of one token of one head: what its dℓ and ddt are made of.
struct TokenSum {
  float dt, rows, columns, diagonal, output, leaving;

  /// What a step from this token to the next changes of dℓ: pairs that end here are behind it,
  /// pairs that begin here are not. The differences are taken of sums in double, so nothing
  /// cancels.
  __device__ double step() const {
    return static_cast<double>(dt * columns) - static_cast<double>(rows) -
           static_cast<double>(output) + static_cast<double>(dt * leaving);
  }
};

template <class T>
__device__ TokenSum token_sum(const Gradient<T>& args, const ScanPlace& at, int64_t t) {
  const Geometry& g = args.g;
  const TokenTerms& terms = args.tokens;
  const int64_t tile = t / kTile, within = t % kTile, offset = at.item * g.padded_chunk() + t;
  const int64_t part = g.batch * g.chunks * g.heads * g.padded_chunk();
  TokenSum sum{.dt = args.dt.at(at.b, at.c * g.chunk + t)[at.h]};
  if (args.intra) {
    const auto pair = [&](int64_t I, int64_t J) {
      return at.item * g.tile_pairs() + I * (I + 1) / 2 + J;
    };
    for (int64_t J = 0; J <= tile; ++J) {
      const float* rows = terms.rows + pair(tile, J) * 2 * kTile + within;
      sum.rows += rows[0] + rows[kTile];
    }
    for (int64_t I = tile; I * kTile < at.tokens; ++I) {
      sum.columns += terms.columns[pair(I, tile) * kTile + within];
    }
    const int64_t side = g.padded_chunk();
    const float* gram = args.gram + g.group_at(at.b, at.c, g.group_of(at.h)) * side * side;
    sum.diagonal = terms.dots[offset] * gram[t * side + t];
    for (int64_t n = 0; n < g.state_halves(); ++n) sum.output += terms.to_output[n * part + offset];
  }
  if (args.inter) {
    for (int64_t n = 0; n < g.state_halves(); ++n)
      sum.leaving += terms.to_leaving[n * part + offset];
  }
  return sum;
}

/// Block (chunk of a sequence, kScanHeads heads). dℓ_m = Σ_{j < m ≤ i} P_ij dt_j + Σ_{i ≥ m}
/// to_output_i + Σ_{j < m} dt_j to_leaving_j + through; ddt = Σ_{i ≥ j} P_ij + to_leaving + A dℓ.
template <class T>
__global__ void __launch_bounds__(kScanThreads) finish_decays(Gradient<T> args) {
  core::device::SharedMemory memory;
  const Shared<double> steps = memory.take<double>(kScanThreads),
                       outputs = memory.take<double>(kScanThreads),
                       dots = memory.take<double>(kScanThreads);
  const Geometry& g = args.g;
  const ScanPlace at(g);
  const int64_t end = min(at.end, at.tokens);
  double step_sum = 0, output_sum = 0, dot_sum = 0;
  for (int64_t t = at.begin; t < end; ++t) {
    const TokenSum sum = token_sum(args, at, t);
    step_sum += sum.step();
    output_sum += static_cast<double>(sum.output);
    if (args.intra) {
      dot_sum += static_cast<double>(args.tokens.dots[at.item * g.padded_chunk() + t]);
    }
  }
  steps[threadIdx.x] = step_sum;
  outputs[threadIdx.x] = output_sum;
  dots[threadIdx.x] = dot_sum;
  __syncthreads();
  double before = 0, total = 0;
  if (at.is_head) {
    double all_dots = 0;
    if (args.inter) before = static_cast<double>(args.sums.through[at.item]);
    for (int slice = 0; slice < kScanSlices; ++slice) {
      const int other = slice * kScanHeads + at.lane;
      before += outputs[other];
      if (slice < at.slice) before += steps[other];
      all_dots += dots[other];
    }
    if (at.slice == 0 && args.intra) args.sums.dy_x[at.item] = all_dots;
  }
  const float A = at.is_head ? decay_rate(args.A_log[at.h]) : 0.0f;
  for (int64_t t = at.begin; t < end; ++t) {
    const TokenSum sum = token_sum(args, at, t);
    const auto dlog_decay = static_cast<float>(before);
    before += sum.step();
    float* ddt = args.ddt.at(at.b, at.c * g.chunk + t) + at.h;
    const float direct = sum.columns + sum.diagonal + sum.leaving;
    *ddt = (args.intra ? direct : *ddt + direct) + A * dlog_decay;
    total += static_cast<double>(sum.dt * dlog_decay);
  }
  __syncthreads();
  steps[threadIdx.x] = total;
  __syncthreads();
  if (!at.is_head || at.slice != 0) return;
  total = 0;
  for (int slice = 0; slice < kScanSlices; ++slice) total += steps[slice * kScanHeads + at.lane];
  args.sums.decay[at.item] = total;
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

  Terms(core::Context& context, const Geometry& g) {
    const int64_t heads = g.batch * g.chunks * g.heads, all = heads * g.padded_chunk();
    const int64_t pairs = heads * g.tile_pairs() * kTile, parts = g.state_halves() * all;
    tokens = core::Tensor(context, core::DType::kF32, {3 * pairs + all + 2 * parts});
    through = core::Tensor(context, core::DType::kF32, {heads});
    sums = core::Tensor(context, core::DType::kF64, {2, heads});
    float* first = tokens.data<float>();
    token_terms = {.rows = first,
                   .columns = first + 2 * pairs,
                   .dots = first + 3 * pairs,
                   .to_output = first + 3 * pairs + all,
                   .to_leaving = first + 3 * pairs + all + parts};
    head_terms = {through.data<float>(), sums.data<double>(), sums.data<double>() + heads};
  }
};

Geometry geometry_for(const SsdBackward& args) {
  return geometry_of(args.x, args.B, args.chunk, args.C, args.dy, args.dx, args.dB, args.dC);
}

struct Part {
  bool intra, inter;
};

template <class T>
void run(core::Context& context, const Geometry& g, const SsdBackward& args, const Decays& decays,
         const core::TensorView& leaving, Part part) {
  const Terms terms(context, g);
  core::Tensor gram, dgram;
  if (part.intra) {
    gram = make_gram<T>(context, g, args.B, args.C);
    dgram = core::Tensor(context, core::DType::kF32, gram.view().shape());
  }
  const Gradient<T> gradient{.g = g,
                             .x = Tokens<const T>(args.x),
                             .B = Tokens<const T>(args.B),
                             .C = Tokens<const T>(args.C),
                             .dy = Tokens<const T>(args.dy),
                             .dt = Tokens<const float>(args.dt),
                             .A_log = args.A_log.data<float>(),
                             .D = core::optional_pointer<float>(args.D),
                             .entering = args.chunk_states.data<float>(),
                             .leaving = core::optional_pointer<float>(leaving),
                             .gram = core::optional_pointer<float>(gram),
                             .decays = decays,
                             .dx = Tokens<T>(args.dx),
                             .dB = Tokens<T>(args.dB),
                             .dC = Tokens<T>(args.dC),
                             .ddt = Tokens<float>(args.ddt),
                             .tokens = terms.token_terms,
                             .sums = terms.head_terms,
                             .intra = part.intra,
                             .inter = part.inter};
  if (part.intra) run_pairs(context, gradient, dgram);
  run_inputs(context, gradient);
  run_groups(context, gradient, dgram);
  run_decays(context, gradient, args.dA_log, part.intra ? args.dD : core::TensorView{});
}

/// G of each chunk in place of the chunks' own parts; dinitial_state.
void pass_gradients(core::Context& context, const Geometry& g, const SsdBackward& args,
                    const Decays& decays, const core::TensorView& own) {
  pass_states(
      context, g, decays,
      {.own = own, .initial = args.dfinal_state, .last = args.dinitial_state, .backward = true});
}

}  // namespace

template <class T>
void run_decays(core::Context& context, const Gradient<T>& args, const core::TensorView& dA_log,
                const core::TensorView& dD) {
  const Geometry& g = args.g;
  const int64_t items = g.batch * g.chunks * g.heads;
  if (args.inter) {
    core::launch(context, {.blocks = items, .threads = 32}, through_terms,
                 Through{g, args.decays, args.entering, args.leaving, args.sums.through});
  }
  core::launch(context, scan_shape(g, 3), finish_decays<T>, args);
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
    const core::Tensor leaving(context, core::DType::kF32, args.chunk_states.shape());
    ssd::chunk_contributions<T>(context, g, args.dy, args.C, args.dt, d.decays,
                                ssd::Weight::kFromStart, leaving);
    ssd::pass_gradients(context, g, args, d.decays, leaving);
    ssd::run<T>(context, g, args, d.decays, leaving, {.intra = true, .inter = true});
  });
}

void ssd_backward_map(core::Context& context, const SsdBackward& args,
                      const core::TensorView& dstate_from_zero) {
  core::dispatch_device("ssd_backward_map", args.x.dtype(), [&]<class T>(T) {
    const ssd::Geometry g = ssd::geometry_for(args);
    const ssd::DecayStorage d = ssd::make_decays(context, g, args.dt, args.A_log);
    ssd::chunk_contributions<T>(context, g, args.dy, args.C, args.dt, d.decays,
                                ssd::Weight::kFromStart, args.dchunk_states);
    ssd::pass_states(context, g, d.decays,
                     {.own = args.dchunk_states,
                      .initial = {},
                      .last = dstate_from_zero,
                      .replace = false,
                      .backward = true});
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
    ssd::pass_gradients(context, g, args, d.decays, args.dchunk_states);
    ssd::run<T>(context, g, args, d.decays, args.dchunk_states, {.intra = false, .inter = true});
  });
}

}  // namespace longhaul::kernels::cuda
