// Gradients of the Mamba-1 block, in the reverse order of mamba1_block.cpp.
#include "kernels/linear/linear.h"
#include "kernels/mlp/swiglu.h"
#include "kernels/norm/rms_norm.h"
#include "model/mamba1_activations.h"
#include "model/mamba1_block.h"

namespace longhaul::model {

using core::Context;
using core::Shape;
using core::Tensor;
using core::TensorView;

/// Gradients on their way down the block, named as the activations.
struct Mamba1Block::Gradients {
  Tensor y, z;       // [rows, E]
  Tensor convolved;  // [rows, E]
  Tensor dtBC;       // [rows, R + 2N]
  Tensor dt;         // [rows, E]
  Tensor normed;     // [rows, D]
};

void Mamba1Block::backward(Context& context, const BlockBackward& args, BlockActivations& kept) {
  auto& act = dynamic_cast<Mamba1Activations&>(kept);
  const int64_t rows = args.batch * args.length, E = config_.inner();
  if (args.overwrite_gradients) {
    parameters_.clear_gradients(
        parameters_begin(), parameters_end(),
        {in_proj_.parameter, x_proj_.parameter, dt_proj_.parameter, out_proj_.parameter});
  }
  Gradients grad;
  {
    Tensor dgated(context, dtype_, {rows, E});
    kernels::linear_backward(context, {.x = act.gated,
                                       .weight = out_proj_.value,
                                       .dy = args.dresidual,
                                       .dx = dgated,
                                       .dweight = out_proj_.gradient,
                                       .dbias = out_proj_bias_.gradient,
                                       .overwrite_dweight = args.overwrite_gradients});
    release(act.gated);
    grad.y = Tensor(context, dtype_, {rows, E});
    grad.z = Tensor(context, dtype_, {rows, E});
    kernels::swiglu_backward(
        context, {.value = act.y, .gate = act.z, .dy = dgated, .dvalue = grad.y, .dgate = grad.z});
    release(act.y, act.z);
  }
  scan_backward(context, args, act, grad);
  inputs_backward(context, args, act, grad);
  kernels::rms_norm_backward(context, {.residual = args.residual_in,
                                       .weight = norm_.value,
                                       .rstd = act.rstd,
                                       .dy = grad.normed,
                                       .dresidual = args.dresidual,
                                       .dweight = norm_.gradient});
}

// And z's part of in_proj, while the gradients of states travel.
void Mamba1Block::scan_backward(Context& context, const BlockBackward& args, Mamba1Activations& act,
                                Gradients& grad) const {
  const int64_t rows = args.batch * args.length, E = config_.inner(), N = config_.state_dim;
  grad.normed = Tensor(context, dtype_, {rows, config_.width});
  const auto z_backward = [&] {
    kernels::linear_backward(context, {.x = act.normed,
                                       .weight = in_proj_.rows(E, 2 * E).value,
                                       .dy = grad.z,
                                       .dx = grad.normed,
                                       .dweight = in_proj_.rows(E, 2 * E).gradient,
                                       .dbias = in_proj_bias_.rows(E, 2 * E).gradient,
                                       .overwrite_dweight = args.overwrite_gradients});
    release(grad.z);
  };
  kernels::SelectiveScanBackward backward{.x = args.tokens(act.convolved),
                                          .dt = args.tokens(act.dt),
                                          .dt_bias = dt_bias_.value,
                                          .A_log = A_log_.value,
                                          .B = args.tokens(columns_of(act.dtBC).B),
                                          .C = args.tokens(columns_of(act.dtBC).C),
                                          .D = D_.value,
                                          .chunk_states = act.chunk_states,
                                          .dy = args.tokens(grad.y),
                                          .dfinal_state = view_or_absent(args.dfinal, kSsm),
                                          .ddt_bias = dt_bias_.gradient,
                                          .dA_log = A_log_.gradient,
                                          .dD = D_.gradient,
                                          .dinitial_state = view_or_absent(args.dinitial, kSsm)};
  Tensor arriving;
  if (args.parallel == nullptr || !args.parallel->full_gradient) {
    z_backward();
  } else {
    const Shape state{args.batch, E, N}, decays{args.batch, E * N};
    arriving = Tensor(context, state_dtype_, state);
    Tensor from_zero(context, state_dtype_, state);
    kernels::selective_scan_backward_map(context, backward, from_zero);
    const TensorView boundary = backward.dfinal_state;
    const auto exchange = args.parallel->states->start(
        {.direction = dist::Direction::kBackward,
         .log_decay = act.log_decay.view().reshape(decays),
         .state = from_zero.view().reshape(decays),
         .boundary = boundary ? boundary.reshape(decays) : TensorView{},
         .incoming = arriving.view().reshape(decays)});
    z_backward();
    exchange->finish();
    backward.dfinal_state = arriving;
  }
  grad.convolved = Tensor(context, dtype_, {rows, E});
  grad.dtBC = Tensor(context, dtype_, act.dtBC.shape());
  grad.dt = Tensor(context, dtype_, {rows, E});
  backward.dx = args.tokens(grad.convolved);
  backward.ddt = args.tokens(grad.dt);
  backward.dB = args.tokens(columns_of(grad.dtBC).B);
  backward.dC = args.tokens(columns_of(grad.dtBC).C);
  kernels::selective_scan_backward(context, backward);
  release(grad.y, act.chunk_states, act.dt);
}

// From dt, B and C back to the convolution, and through it to in_proj.
void Mamba1Block::inputs_backward(Context& context, const BlockBackward& args,
                                  Mamba1Activations& act, Gradients& grad) const {
  const int64_t rows = args.batch * args.length, E = config_.inner();
  kernels::linear_backward(context, {.x = columns_of(act.dtBC).dt,
                                     .weight = dt_proj_.value,
                                     .dy = grad.dt,
                                     .dx = columns_of(grad.dtBC).dt,
                                     .dweight = dt_proj_.gradient,
                                     .dbias = {},
                                     .overwrite_dweight = args.overwrite_gradients});
  release(grad.dt, act.dtBC);
  kernels::linear_backward(context, {.x = act.convolved,
                                     .weight = x_proj_.value,
                                     .dy = grad.dtBC,
                                     .dx = grad.convolved,
                                     .dweight = x_proj_.gradient,
                                     .dbias = {},
                                     .overwrite_dweight = args.overwrite_gradients,
                                     .add_to_dx = true});
  release(grad.dtBC, act.convolved);
  Tensor dx(context, dtype_, {rows, E});
  conv_.backward(context, args, args.tokens(act.x), args.tokens(grad.convolved), args.tokens(dx));
  release(grad.convolved, act.x);
  kernels::linear_backward(context, {.x = act.normed,
                                     .weight = in_proj_.rows(0, E).value,
                                     .dy = dx,
                                     .dx = grad.normed,
                                     .dweight = in_proj_.rows(0, E).gradient,
                                     .dbias = in_proj_bias_.rows(0, E).gradient,
                                     .overwrite_dweight = args.overwrite_gradients,
                                     .add_to_dx = true});
}

}  // namespace longhaul::model
