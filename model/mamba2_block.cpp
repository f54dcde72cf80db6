#include "model/mamba2_block.h"

#include "kernels/linear/linear.h"
#include "kernels/mlp/swiglu.h"
#include "kernels/norm/gated_rms_norm.h"
#include "kernels/norm/rms_norm.h"
#include "kernels/ssd/ssd.h"
#include "kernels/ssd/time_step.h"
#include "model/mamba2_activations.h"
#include "model/mamba2_memory.h"

namespace longhaul::model {

using core::Context;
using core::Shape;
using core::Tensor;
using core::TensorView;

Mamba2Block::Mamba2Block(const ModelConfig& config, int64_t layer, ParameterSet& parameters)
    : config_(config),
      layer_(layer),
      parameters_(parameters),
      dtype_(parameters.dtype()),
      state_dtype_(core::state_dtype(dtype_)),
      weights_(parameters, layer),
      norm_(weights_("norm.weight")),
      in_proj_(weights_("mixer.in_proj.weight")),
      in_proj_bias_(weights_("mixer.in_proj.bias")),
      dt_bias_(weights_.exact("mixer.dt_bias")),
      A_log_(weights_.exact("mixer.A_log")),
      D_(weights_.exact("mixer.D")),
      gated_norm_(weights_("mixer.norm.weight")),
      out_proj_(weights_("mixer.out_proj.weight")),
      out_proj_bias_(weights_("mixer.out_proj.bias")),
      norm2_(weights_("norm2.weight")),
      fc1_(weights_("mlp.fc1.weight")),
      fc2_(weights_("mlp.fc2.weight")),
      conv_(weights_("mixer.conv1d.weight"), weights_("mixer.conv1d.bias")) {}

std::vector<StateSpec> mamba2_state_specs(const ModelConfig& config, int64_t layer) {
  const std::string suffix = "." + std::to_string(layer);
  return {{.name = "ssm" + suffix,
           .shape = {config.heads, config.head_dim, config.state_dim},
           .kind = StateKind::kRecurrent,
           .layer = layer,
           .groups = config.heads,
           .heads = config.heads,
           .decays = config.log_decays()},
          {.name = "conv" + suffix,
           .shape = {config.conv_width - 1, config.conv_channels()},
           .kind = StateKind::kConv,
           .layer = layer}};
}

Mamba2Block::Columns Mamba2Block::columns_of(const TensorView& zxbcdt) const {
  const int64_t E = config_.inner(), mid = E + config_.conv_channels();
  return {zxbcdt.slice(1, 0, E), zxbcdt.slice(1, E, mid),
          zxbcdt.slice(1, mid, mid + config_.heads)};
}

Mamba2Block::SsdViews Mamba2Block::ssd_views(const TensorView& xBC, int64_t batch,
                                             int64_t length) const {
  const int64_t E = config_.inner(), GN = config_.groups * config_.state_dim;
  const TensorView tokens = xBC.reshape({batch, length, config_.conv_channels()});
  return {tokens.slice(2, 0, E).split_last(config_.heads, config_.head_dim),
          tokens.slice(2, E, E + GN).split_last(config_.groups, config_.state_dim),
          tokens.slice(2, E + GN, E + 2 * GN).split_last(config_.groups, config_.state_dim)};
}

std::unique_ptr<BlockActivations> Mamba2Block::forward(Context& context, const BlockForward& args) {
  const int64_t rows = args.batch * args.length;
  const int64_t E = config_.inner();
  auto act = std::make_unique<Mamba2Activations>();

  act->normed = Tensor(context, dtype_, {rows, config_.width});
  act->rstd = Tensor(context, state_dtype_, {rows});
  kernels::rms_norm_forward(context, {.x = {},
                                      .residual = args.residual_in,
                                      .weight = norm_.value,
                                      .epsilon = config_.norm_epsilon,
                                      .y = act->normed,
                                      .rstd = act->rstd});
  act->zxbcdt = Tensor(context, dtype_, {rows, config_.in_projection()});
  kernels::linear_forward(
      context,
      {.x = act->normed, .weight = in_proj_.value, .bias = in_proj_bias_.value, .y = act->zxbcdt});
  const Columns columns = columns_of(act->zxbcdt);
  act->xBC = Tensor(context, dtype_, {rows, config_.conv_channels()});
  conv_.forward(context, args, args.tokens(columns.xBC), args.tokens(act->xBC));
  act->dt = Tensor(context, state_dtype_, {rows, config_.heads});
  kernels::time_step_forward(context, {.raw = columns.dt,
                                       .bias = dt_bias_.value,
                                       .low = config_.dt_low,
                                       .high = config_.dt_high,
                                       .dt = act->dt});
  act->y = Tensor(context, dtype_, {rows, E});
  if (args.length == 1 && !args.keep && args.parallel == nullptr && !args.log_decay) {
    step(context, args, *act);
  } else {
    scan(context, args, *act);
  }
  act->gated = Tensor(context, dtype_, {rows, E});
  act->gated_rstd = Tensor(context, state_dtype_, {rows, config_.groups});
  kernels::gated_rms_norm_forward(context, {.y = act->y,
                                            .z = columns.z,
                                            .weight = gated_norm_.value,
                                            .epsilon = config_.norm_epsilon,
                                            .out = act->gated,
                                            .rstd = act->gated_rstd});
  if (fc1_.value) {
    act->residual_mid = Tensor(context, args.residual_in.dtype(), {rows, config_.width});
  }
  kernels::linear_forward(context,
                          {.x = act->gated,
                           .weight = out_proj_.value,
                           .bias = out_proj_bias_.value,
                           .addend = args.residual_in,
                           .y = fc1_.value ? act->residual_mid.view() : args.residual_out});
  if (fc1_.value) mlp_forward(context, args.residual_out, *act);
  return args.keep ? std::move(act) : nullptr;
}

int64_t Mamba2Block::chunk(const Context& context) const {
  return mamba2_chunk(config_, context.device().kind, dtype_);
}

void Mamba2Block::scan(Context& context, const BlockForward& args, Mamba2Activations& act) const {
  const int64_t H = config_.heads, P = config_.head_dim, N = config_.state_dim;
  const SsdViews in = ssd_views(act.xBC, args.batch, args.length);
  const bool staged = args.keep_map || args.parallel != nullptr;
  const bool wanted = args.keep || staged;
  const int64_t chunks = kernels::ssd_chunks(args.length, chunk(context));
  if (wanted) act.chunk_states = Tensor(context, dtype_, {args.batch, chunks, H, P, N});
  TensorView initial = view_or_absent(args.initial, kSsm);
  Tensor arriving;
  kernels::SsdForward ssd{.x = in.x,
                          .dt = act.dt.view().reshape({args.batch, args.length, H}),
                          .A_log = A_log_.value,
                          .B = in.B,
                          .C = in.C,
                          .D = D_.value,
                          .initial_state = initial,
                          .chunk = chunk(context),
                          .y = act.y.view().reshape({args.batch, args.length, H, P}),
                          .final_state = view_or_absent(args.final_state, kSsm),
                          .chunk_states = act.chunk_states};
  if (!staged) {
    ssd.log_decay = args.log_decay;
    kernels::ssd_forward(context, ssd);
  } else {
    act.log_decay = Tensor(context, state_dtype_, {args.batch, H});
    Tensor from_zero(context, state_dtype_, {args.batch, H, P, N});
    kernels::ssd_forward_map(context, ssd,
                             {.log_decay = act.log_decay, .state_from_zero = from_zero});
    std::unique_ptr<dist::StateExchange::Run> exchange;
    if (args.parallel != nullptr) {
      arriving = Tensor(context, state_dtype_, {args.batch, H, P, N});
      exchange = args.parallel->states->start({.direction = dist::Direction::kForward,
                                               .log_decay = act.log_decay,
                                               .state = from_zero,
                                               .boundary = initial,
                                               .incoming = arriving});
    }
    kernels::ssd_forward_intra(context, ssd);  // while the states travel
    if (exchange != nullptr) {
      exchange->finish();
      ssd.initial_state = initial = arriving;
    }
    kernels::ssd_forward_inter(context, ssd);
    if (args.log_decay) core::copy(context, act.log_decay, args.log_decay);
  }
  if (const TensorView entering = view_or_absent(args.entering, kSsm)) {
    copy_or_zero(context, initial, entering);
  }
}

// One token: the plain recurrence, the state updated in place.
void Mamba2Block::step(Context& context, const BlockForward& args, Mamba2Activations& act) const {
  const int64_t H = config_.heads, P = config_.head_dim, N = config_.state_dim;
  Tensor scratch;
  TensorView state = view_or_absent(args.final_state, kSsm);
  if (!state) {
    scratch = Tensor(context, state_dtype_, {args.batch, H, P, N});
    state = scratch;
  }
  const TensorView initial = view_or_absent(args.initial, kSsm);
  if (const TensorView entering = view_or_absent(args.entering, kSsm)) {
    copy_or_zero(context, initial, entering);
  }
  if (!initial || initial.raw() != state.raw()) copy_or_zero(context, initial, state);
  const SsdViews in = ssd_views(act.xBC, args.batch, 1);
  kernels::ssd_step(context, {.x = in.x.select(1, 0),
                              .dt = act.dt.view().reshape({args.batch, H}),
                              .A_log = A_log_.value,
                              .B = in.B.select(1, 0),
                              .C = in.C.select(1, 0),
                              .D = D_.value,
                              .state = state,
                              .y = act.y.view().reshape({args.batch, H, P})});
}

void Mamba2Block::mlp_forward(Context& context, const TensorView& residual_out,
                              Mamba2Activations& act) const {
  const int64_t rows = residual_out.extent(0), F = config_.mlp_width;
  act.normed2 = Tensor(context, dtype_, {rows, config_.width});
  act.rstd2 = Tensor(context, state_dtype_, {rows});
  kernels::rms_norm_forward(context, {.x = {},
                                      .residual = act.residual_mid,
                                      .weight = norm2_.value,
                                      .epsilon = config_.norm_epsilon,
                                      .y = act.normed2,
                                      .rstd = act.rstd2});
  act.fc1_out = Tensor(context, dtype_, {rows, 2 * F});
  kernels::linear_forward(context,
                          {.x = act.normed2, .weight = fc1_.value, .bias = {}, .y = act.fc1_out});
  act.gate_out = Tensor(context, dtype_, {rows, F});
  kernels::swiglu_forward(context, {.value = act.fc1_out.view().slice(1, 0, F),
                                    .gate = act.fc1_out.view().slice(1, F, 2 * F),
                                    .y = act.gate_out});
  kernels::linear_forward(context, {.x = act.gate_out,
                                    .weight = fc2_.value,
                                    .bias = {},
                                    .addend = act.residual_mid,
                                    .y = residual_out});
}

// Products as 2 per multiply-add; SSD, in the chunks that it is run in, with the causal half of
// each chunk: Gram Q·N·G, intra Q·P·H, state in and out 2·P·N·H each, passing 2·P·N·H/Q.
double Mamba2Block::flops_per_token() const {
  const double D = static_cast<double>(config_.width), E = static_cast<double>(config_.inner());
  const double H = static_cast<double>(config_.heads), P = static_cast<double>(config_.head_dim);
  const double N = static_cast<double>(config_.state_dim);
  const double Q = static_cast<double>(chunk(parameters_.context()));
  const double G = static_cast<double>(config_.groups);
  const double projections = 2 * D * static_cast<double>(config_.in_projection()) + 2 * D * E;
  const double conv = 2.0 * static_cast<double>(config_.conv_width * config_.conv_channels());
  const double ssd = Q * N * G + Q * P * H + 4 * P * N * H + 2 * P * N * H / Q;
  const double mlp = 6 * D * static_cast<double>(config_.mlp_width);
  return projections + conv + ssd + mlp;
}

}  // namespace longhaul::model
