// Backward: its stages put together, and the gradients to dt, A_log and D.
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
  for (int lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, lanes);
  if (threadIdx.x == 0) args.through[item] = sum * args.decays.over_chunk(item);
}

/// Item: one head of one chunk. dℓ_m = straddling pairs + Σ_{i ≥ m} to_output + Σ_{i < m} dt
/// to_leaving + through; ddt = pair_sums + to_leaving + A dℓ.
template <class T>
struct FinishDecays {
  Gradient<T> args;
  __device__ void operator()(int64_t item) const {
    const Geometry& g = args.g;
    const int64_t h = item % g.heads, c = item / g.heads % g.chunks, b = item / g.heads / g.chunks;
    const int64_t tokens = g.tokens(c), offset = item * g.padded_chunk();
    const float A = decay_rate(args.A_log[h]);
    const TokenTerms& t = args.tokens;
    double after = 0, before = args.inter ? static_cast<double>(args.sums.through[item]) : 0.0;
    double total = 0;
    if (args.intra) {  // straddling becomes what ℓ gets of the intra terms
      for (int64_t i = tokens - 1; i >= 0; --i) {
        after += static_cast<double>(t.to_output[offset + i]);
        t.straddling[offset + i] += static_cast<float>(after);
      }
    }
    for (int64_t i = 0; i < tokens; ++i) {
      const float dt = args.dt.at(b, c * g.chunk + i)[h];
      float* ddt = args.ddt.at(b, c * g.chunk + i) + h;
      float dlog_decay = args.intra ? t.straddling[offset + i] : 0.0f;
      float sum = args.intra ? t.pair_sums[offset + i] : *ddt;
      if (args.inter) {
        const float leaving = t.to_leaving[offset + i];
        dlog_decay += static_cast<float>(before);
        before += static_cast<double>(dt * leaving);
        sum += leaving;
      }
      *ddt = sum + A * dlog_decay;
      total += static_cast<double>(dt * dlog_decay);
    }
    args.sums.decay[item] = total;
  }
};

/// Item: one head. Sums over sequences and chunks, in order.
struct FinishHeads {
  Geometry g;
  const double *decay, *dy_x;
  const float* A_log;
  float *dA_log, *dD;  ///< dD or null
  __device__ void operator()(int64_t h) const {
    double decay_sum = 0, dy_x_sum = 0;
    for (int64_t i = 0; i < g.batch * g.chunks; ++i) {
      decay_sum += decay[i * g.heads + h];
      if (dD != nullptr) dy_x_sum += dy_x[i * g.heads + h];
    }
    dA_log[h] += static_cast<float>(static_cast<double>(decay_rate(A_log[h])) * decay_sum);
    if (dD != nullptr) dD[h] += static_cast<float>(dy_x_sum);
  }
};

/// Owns what the stages hand on.
struct Terms {
  core::Tensor tokens, through, sums;
  TokenTerms token_terms;
  HeadTerms head_terms;

  Terms(core::Context& context, const Geometry& g) {
    const int64_t heads = g.batch * g.chunks * g.heads, all = heads * g.padded_chunk();
    tokens = core::Tensor(context, core::DType::kF32, {4, all});
    through = core::Tensor(context, core::DType::kF32, {heads});
    sums = core::Tensor(context, core::DType::kF64, {2, heads});
    float* first = tokens.data<float>();
    token_terms = {first, first + all, first + 2 * all, first + 3 * all};
    head_terms = {through.data<float>(), sums.data<double>(), sums.data<double>() + heads};
  }
};

Geometry geometry_for(const SsdBackward& args) {
  return geometry_of(args.x, args.B, args.chunk, args.C, args.dy);
}

struct Part {
  bool intra, inter;
};

template <class T>
void run(core::Context& context, const Geometry& g, const SsdBackward& args, const Decays& decays,
         const core::TensorView& leaving, Part part) {
  const Terms terms(context, g);
  core::Tensor gram;
  if (part.intra) gram = make_gram<T>(context, g, args.B, args.C);
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
  run_pairs(context, gradient);
  run_inputs(context, gradient);
  run_groups(context, gradient);
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
  core::for_each(context, items, FinishDecays<T>{args});
  core::for_each(context, g.heads,
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
