// Gradients of the Mamba-2 block, in the reverse order of mamba2_block.cpp.
#include "kernels/linear/linear.h"
#include "kernels/mlp/swiglu.h"
#include "kernels/norm/gated_rms_norm.h"
#include "kernels/norm/rms_norm.h"
#include "kernels/ssd/ssd.h"
#include "kernels/ssd/time_step.h"
#include "model/mamba2_activations.h"
#include "model/mamba2_block.h"

namespace longhaul::model {

using core::Context;
using core::Shape;
using core::Tensor;
using core::TensorView;

/// Gradients on their way down the block, named as the activations.
struct Mamba2Block::Gradients {
  Tensor dzxbcdt;  // [rows, 2E + 2GN + H]
  Tensor dy;       // [rows, E]
  Tensor dxBC;     // [rows, E + 2GN]
  Tensor ddt;      // [rows, H]
};

void Mamba2Block::backward(Context& context, const BlockBackward& args, BlockActivations& kept) {
  auto& act = dynamic_cast<Mamba2Activations&>(kept);
  const int64_t rows = args.batch * args.length;
  if (args.overwrite_gradients) {
    parameters_.clear_gradients(
        parameters_begin(), parameters_end(),
        {in_proj_.parameter, out_proj_.parameter, fc1_.parameter, fc2_.parameter});
  }
  if (fc1_.value) mlp_backward(context, args, act);

  Gradients grad;
  {
    Tensor dgated(context, dtype_, {rows, config_.inner()});
    kernels::linear_backward(context, {.x = act.gated,
                                       .weight = out_proj_.value,
                                       .dy = args.dresidual,
                                       .dx = dgated,
                                       .dweight = out_proj_.gradient,
                                       .dbias = out_proj_bias_.gradient,
                                       .overwrite_dweight = args.overwrite_gradients});
    release(act.gated);
    grad.dzxbcdt = Tensor(context, dtype_, {rows, config_.in_projection()});
    grad.dy = Tensor(context, dtype_, {rows, config_.inner()});
    kernels::gated_rms_norm_backward(context, {.y = act.y,
                                               .z = columns_of(act.zxbcdt).z,
                                               .weight = gated_norm_.value,
                                               .rstd = act.gated_rstd,
                                               .dout = dgated,
                                               .dy = grad.dy,
                                               .dz = columns_of(grad.dzxbcdt).z,
                                               .dweight = gated_norm_.gradient});
    release(act.y);
  }
  scan_backward(context, args, act, grad);
  kernels::time_step_backward(context, {.raw = columns_of(act.zxbcdt).dt,
                                        .bias = dt_bias_.value,
                                        .ddt = grad.ddt,
                                        .low = config_.dt_low,
                                        .high = config_.dt_high,
                                        .draw = columns_of(grad.dzxbcdt).dt,
                                        .dbias = dt_bias_.gradient});
  conv_.backward(context, args, args.tokens(columns_of(act.zxbcdt).xBC), args.tokens(grad.dxBC),
                 args.tokens(columns_of(grad.dzxbcdt).xBC));
  release(grad.dxBC, act.xBC);

  Tensor dnormed(context, dtype_, {rows, config_.width});
  kernels::linear_backward(context, {.x = act.normed,
                                     .weight = in_proj_.value,
                                     .dy = grad.dzxbcdt,
                                     .dx = dnormed,
                                     .dweight = in_proj_.gradient,
                                     .dbias = in_proj_bias_.gradient,
                                     .overwrite_dweight = args.overwrite_gradients});
  kernels::rms_norm_backward(context, {.residual = args.residual_in,
                                       .weight = norm_.value,
                                       .rstd = act.rstd,
                                       .dy = dnormed,
                                       .dresidual = args.dresidual,
                                       .dweight = norm_.gradient});
}

void Mamba2Block::mlp_backward(Context& context, const BlockBackward& args,
                               Mamba2Activations& act) const {
  const TensorView& dresidual = args.dresidual;
  const int64_t rows = dresidual.extent(0), F = config_.mlp_width;
  Tensor dgate_out(context, dtype_, {rows, F});
  kernels::linear_backward(context, {.x = act.gate_out,
                                     .weight = fc2_.value,
                                     .dy = dresidual,
                                     .dx = dgate_out,
                                     .dweight = fc2_.gradient,
                                     .dbias = {},
                                     .overwrite_dweight = args.overwrite_gradients});
  Tensor dfc1_out(context, dtype_, {rows, 2 * F});
  kernels::swiglu_backward(context, {.value = act.fc1_out.view().slice(1, 0, F),
                                     .gate = act.fc1_out.view().slice(1, F, 2 * F),
                                     .dy = dgate_out,
                                     .dvalue = dfc1_out.view().slice(1, 0, F),
                                     .dgate = dfc1_out.view().slice(1, F, 2 * F)});
  Tensor dnormed2(context, dtype_, {rows, config_.width});
  kernels::linear_backward(context, {.x = act.normed2,
                                     .weight = fc1_.value,
                                     .dy = dfc1_out,
                                     .dx = dnormed2,
                                     .dweight = fc1_.gradient,
                                     .dbias = {},
                                     .overwrite_dweight = args.overwrite_gradients});
  kernels::rms_norm_backward(context, {.residual = act.residual_mid,
                                       .weight = norm2_.value,
                                       .rstd = act.rstd2,
                                       .dy = dnormed2,
                                       .dresidual = dresidual,
                                       .dweight = norm2_.gradient});
  release(act.residual_mid, act.normed2, act.fc1_out, act.gate_out);
}

void Mamba2Block::scan_backward(Context& context, const BlockBackward& args, Mamba2Activations& act,
                                Gradients& grad) const {
  const int64_t H = config_.heads, P = config_.head_dim, N = config_.state_dim;
  grad.dxBC = Tensor(context, dtype_, {args.batch * args.length, config_.conv_channels()});
  grad.ddt = Tensor(context, state_dtype_, {args.batch * args.length, H});
  const SsdViews in = ssd_views(act.xBC, args.batch, args.length);
  const SsdViews out = ssd_views(grad.dxBC, args.batch, args.length);
  kernels::SsdBackward ssd{.x = in.x,
                           .dt = act.dt.view().reshape({args.batch, args.length, H}),
                           .A_log = A_log_.value,
                           .B = in.B,
                           .C = in.C,
                           .D = D_.value,
                           .chunk_states = act.chunk_states,
                           .chunk = chunk(context),
                           .dy = grad.dy.view().reshape({args.batch, args.length, H, P}),
                           .dfinal_state = view_or_absent(args.dfinal, kSsm),
                           .dx = out.x,
                           .ddt = grad.ddt.view().reshape({args.batch, args.length, H}),
                           .dB = out.B,
                           .dC = out.C,
                           .dA_log = A_log_.gradient,
                           .dD = D_.gradient,
                           .dinitial_state = view_or_absent(args.dinitial, kSsm),
                           .dchunk_states = {}};
  if (args.parallel == nullptr || !args.parallel->full_gradient) {
    kernels::ssd_backward(context, ssd);
  } else {
    const Shape state{args.batch, H, P, N};
    Tensor from_zero(context, state_dtype_, state), arriving(context, state_dtype_, state);
    Tensor scratch(context, dtype_, act.chunk_states.shape());
    ssd.dchunk_states = scratch;
    kernels::SsdBackward zero_end = ssd;
    zero_end.dfinal_state = {};
    kernels::ssd_backward_map(context, zero_end, from_zero);
    const auto exchange = args.parallel->states->start({.direction = dist::Direction::kBackward,
                                                        .log_decay = act.log_decay,
                                                        .state = from_zero,
                                                        .boundary = ssd.dfinal_state,
                                                        .incoming = arriving});
    kernels::ssd_backward_intra(context, ssd);  // while the gradients travel
    exchange->finish();
    ssd.dfinal_state = arriving;
    kernels::ssd_backward_inter(context, ssd);
  }
  release(grad.dy, act.chunk_states);
}

}  // namespace longhaul::model
