// Forward: y of each token, from the states that enter the chunks and from the tokens of the chunk
// up to itself.
#include "kernels/ssd/ssd.h"
#include "kernels/ssd/ssd_token_sums.cuh"

namespace longhaul::kernels::cuda {
namespace ssd {
namespace {

template <class T>
void run_output(core::Context& context, const Geometry& g, const SsdForward& args,
                const Decays& decays, const core::TensorView& states, bool intra) {
  core::Tensor gram;
  if (intra) gram = make_gram<T>(context, g, args.B, args.C);
  run_token_sums<T, Direction::kForward>(context, {.g = g,
                                                   .values = Tokens<const T>(args.x),
                                                   .keys = Tokens<const T>(args.C),
                                                   .states = core::optional_pointer<T>(states),
                                                   .gram = core::optional_pointer<float>(gram),
                                                   .dt = Tokens<const float>(args.dt),
                                                   .D = core::optional_pointer<float>(args.D),
                                                   .decays = decays,
                                                   .out = Tokens<T>(args.y)});
}

Geometry geometry_for(const SsdForward& args) {
  return geometry_of(args.x, args.B, args.chunk, args.C, args.y);
}

/// With the initial state, what enters each chunk and what leaves the last; without, only what does
/// that from zero.
template <class T>
void run_states(core::Context& context, const Geometry& g, const SsdForward& args,
                const Decays& decays, const core::TensorView& entering) {
  scan_states<T>(context, g, decays,
                 {.left = Tokens<const T>(args.x),
                  .right = Tokens<const T>(args.B),
                  .dt = Tokens<const float>(args.dt),
                  .initial = args.initial_state,
                  .last = args.final_state,
                  .entering = core::optional_pointer<T>(entering)});
}

}  // namespace
}  // namespace ssd

void ssd_forward(core::Context& context, const SsdForward& args) {
  core::dispatch_device("ssd_forward", args.x.dtype(), [&]<class T>(T) {
    const ssd::Geometry g = ssd::geometry_for(args);
    const ssd::DecayStorage d = ssd::make_decays(context, g, args.dt, args.A_log);
    core::Tensor scratch;
    core::TensorView states = args.chunk_states;
    if (!states) {
      scratch =
          core::Tensor(context, args.x.dtype(), {g.batch, g.chunks, g.heads, g.head_dim, g.state});
      states = scratch;
    }
    ssd::run_states<T>(context, g, args, d.decays, states);
    ssd::run_output<T>(context, g, args, d.decays, states, true);
    if (args.log_decay) ssd::store_log_decay(context, g, d.decays, args.log_decay);
  });
}

void ssd_forward_map(core::Context& context, const SsdForward& args, const SsdMap& map) {
  core::dispatch_device("ssd_forward_map", args.x.dtype(), [&]<class T>(T) {
    const ssd::Geometry g = ssd::geometry_for(args);
    const ssd::DecayStorage d = ssd::make_decays(context, g, args.dt, args.A_log);
    SsdForward from_zero = args;
    from_zero.initial_state = {};
    from_zero.final_state = map.state_from_zero;
    ssd::run_states<T>(context, g, from_zero, d.decays, {});
    ssd::store_log_decay(context, g, d.decays, map.log_decay);
  });
}

void ssd_forward_intra(core::Context& context, const SsdForward& args) {
  core::dispatch_device("ssd_forward_intra", args.x.dtype(), [&]<class T>(T) {
    const ssd::Geometry g = ssd::geometry_for(args);
    const ssd::DecayStorage d = ssd::make_decays(context, g, args.dt, args.A_log);
    ssd::run_output<T>(context, g, args, d.decays, {}, true);
  });
}

void ssd_forward_inter(core::Context& context, const SsdForward& args) {
  core::dispatch_device("ssd_forward_inter", args.x.dtype(), [&]<class T>(T) {
    const ssd::Geometry g = ssd::geometry_for(args);
    const ssd::DecayStorage d = ssd::make_decays(context, g, args.dt, args.A_log);
    ssd::run_states<T>(context, g, args, d.decays, args.chunk_states);
    ssd::run_output<T>(context, g, args, d.decays, args.chunk_states, false);
  });
}

}  // namespace longhaul::kernels::cuda
