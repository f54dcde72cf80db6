#include "model/mamba1_block.h"

#include "kernels/linear/linear.h"
#include "kernels/mlp/swiglu.h"
#include "kernels/norm/rms_norm.h"
#include "model/mamba1_activations.h"

namespace longhaul::model {

using core::Context;
using core::Shape;
using core::Tensor;
using core::TensorView;

Mamba1Block::Mamba1Block(const ModelConfig& config, int64_t layer, ParameterSet& parameters)
    : config_(config),
      layer_(layer),
      parameters_(parameters),
      dtype_(parameters.dtype()),
      state_dtype_(core::state_dtype(dtype_)),
      weights_(parameters, layer),
      norm_(weights_("norm.weight")),
      in_proj_(weights_("mixer.in_proj.weight")),
      in_proj_bias_(weights_("mixer.in_proj.bias")),
      x_proj_(weights_("mixer.x_proj.weight")),
      dt_proj_(weights_("mixer.dt_proj.weight")),
      dt_bias_(weights_.exact("mixer.dt_proj.bias")),
      A_log_(weights_.exact("mixer.A_log")),
      D_(weights_.exact("mixer.D")),
      out_proj_(weights_("mixer.out_proj.weight")),
      out_proj_bias_(weights_("mixer.out_proj.bias")),
      conv_(weights_("mixer.conv1d.weight"), weights_("mixer.conv1d.bias")) {}

std::vector<StateSpec> mamba1_state_specs(const ModelConfig& config, int64_t layer) {
  const std::string suffix = "." + std::to_string(layer);
  return {{.name = "ssm" + suffix,
           .shape = {config.inner(), config.state_dim},
           .kind = StateKind::kRecurrent,
           .layer = layer,
           .groups = config.inner(),
           .decays = config.log_decays()},
          {.name = "conv" + suffix,
           .shape = {config.conv_width - 1, config.inner()},
           .kind = StateKind::kConv,
           .layer = layer}};
}

Mamba1Block::Columns Mamba1Block::columns_of(const TensorView& dtBC) const {
  const int64_t R = config_.time_step_rank(), N = config_.state_dim;
  return {dtBC.slice(1, 0, R), dtBC.slice(1, R, R + N), dtBC.slice(1, R + N, R + 2 * N)};
}

std::unique_ptr<BlockActivations> Mamba1Block::forward(Context& context, const BlockForward& args) {
  const int64_t rows = args.batch * args.length;
  const int64_t E = config_.inner();
  auto act = std::make_unique<Mamba1Activations>();

  act->normed = Tensor(context, dtype_, {rows, config_.width});
  act->rstd = Tensor(context, state_dtype_, {rows});
  kernels::rms_norm_forward(context, {.x = {},
                                      .residual = args.residual_in,
                                      .weight = norm_.value,
                                      .epsilon = config_.norm_epsilon,
                                      .y = act->normed,
                                      .rstd = act->rstd});
  act->x = Tensor(context, dtype_, {rows, E});
  kernels::linear_forward(context, {.x = act->normed,
                                    .weight = in_proj_.rows(0, E).value,
                                    .bias = in_proj_bias_.rows(0, E).value,
                                    .y = act->x});
  act->convolved = Tensor(context, dtype_, {rows, E});
  conv_.forward(context, args, args.tokens(act->x), args.tokens(act->convolved));
  act->dtBC = Tensor(context, dtype_, {rows, config_.time_step_rank() + 2 * config_.state_dim});
  kernels::linear_forward(
      context, {.x = act->convolved, .weight = x_proj_.value, .bias = {}, .y = act->dtBC});
  act->dt = Tensor(context, dtype_, {rows, E});
  kernels::linear_forward(
      context, {.x = columns_of(act->dtBC).dt, .weight = dt_proj_.value, .bias = {}, .y = act->dt});
  scan(context, args, *act);
  act->gated = Tensor(context, dtype_, {rows, E});
  kernels::swiglu_forward(context, {.value = act->y, .gate = act->z, .y = act->gated});
  kernels::linear_forward(context, {.x = act->gated,
                                    .weight = out_proj_.value,
                                    .bias = out_proj_bias_.value,
                                    .addend = args.residual_in,
                                    .y = args.residual_out});
  return args.keep ? std::move(act) : nullptr;
}

void Mamba1Block::project_z(Context& context, Mamba1Activations& act) const {
  const int64_t E = config_.inner();
  act.z = Tensor(context, dtype_, {act.x.extent(0), E});
  kernels::linear_forward(context, {.x = act.normed,
                                    .weight = in_proj_.rows(E, 2 * E).value,
                                    .bias = in_proj_bias_.rows(E, 2 * E).value,
                                    .y = act.z});
}

void Mamba1Block::scan(Context& context, const BlockForward& args, Mamba1Activations& act) const {
  const int64_t E = config_.inner(), N = config_.state_dim;
  const Columns columns = columns_of(act.dtBC);
  const bool staged = args.keep_map || args.parallel != nullptr;
  if (args.keep) {
    act.chunk_states =
        Tensor(context, state_dtype_, {args.batch, kernels::scan_chunks(args.length), E, N});
  }
  TensorView log_decay;  // [batch, E, N]
  if (args.log_decay) log_decay = args.log_decay.reshape({args.batch, E, N});
  if (staged) act.log_decay = Tensor(context, state_dtype_, {args.batch, E, N});
  act.y = Tensor(context, dtype_, {args.batch * args.length, E});
  TensorView initial = view_or_absent(args.initial, kSsm);
  Tensor arriving;
  kernels::SelectiveScanForward forward{.x = args.tokens(act.convolved),
                                        .dt = args.tokens(act.dt),
                                        .dt_bias = dt_bias_.value,
                                        .A_log = A_log_.value,
                                        .B = args.tokens(columns.B),
                                        .C = args.tokens(columns.C),
                                        .D = D_.value,
                                        .initial_state = initial,
                                        .y = args.tokens(act.y),
                                        .final_state = view_or_absent(args.final_state, kSsm),
                                        .chunk_states = act.chunk_states,
                                        .log_decay = staged ? act.log_decay.view() : log_decay};
  if (args.parallel == nullptr) {
    project_z(context, act);
  } else {
    arriving = Tensor(context, state_dtype_, {args.batch, E, N});
    Tensor from_zero(context, state_dtype_, {args.batch, E, N});
    kernels::selective_scan_map(context, forward,
                                {.log_decay = act.log_decay, .state_from_zero = from_zero});
    const Shape decays{args.batch, E * N};  // each element of the state has its own
    const auto exchange =
        args.parallel->states->start({.direction = dist::Direction::kForward,
                                      .log_decay = act.log_decay.view().reshape(decays),
                                      .state = from_zero.view().reshape(decays),
                                      .boundary = initial ? initial.reshape(decays) : TensorView{},
                                      .incoming = arriving.view().reshape(decays)});
    project_z(context, act);  // while the states travel
    exchange->finish();
    forward.log_decay = {};
    forward.initial_state = initial = arriving;
    if (!args.parallel->full_gradient && !args.log_decay) release(act.log_decay);
  }
  // final_state may be the memory of initial: what entered is copied before it is overwritten.
  if (const TensorView entering = view_or_absent(args.entering, kSsm)) {
    copy_or_zero(context, initial, entering);
  }
  kernels::selective_scan_forward(context, forward);
  if (staged && log_decay) core::copy(context, act.log_decay, log_decay);
}

// Products as 2 per multiply-add; the scan: decay, input and state 5, output 2 for each element of
// the state.
double Mamba1Block::flops_per_token() const {
  const double D = static_cast<double>(config_.width), E = static_cast<double>(config_.inner());
  const double N = static_cast<double>(config_.state_dim);
  const double R = static_cast<double>(config_.time_step_rank());
  const double projections = 2 * D * 2 * E + 2 * E * (R + 2 * N) + 2 * R * E + 2 * E * D;
  return projections + 2.0 * static_cast<double>(config_.conv_width) * E + 7 * E * N;
}

}  // namespace longhaul::model
