#include "kernels/ssd/ssd.h"

#include "kernels/core/view_checks.h"

namespace longhaul::kernels {
namespace {

using core::DType;
using core::Shape;
using core::TensorView;

/// The shapes that follow from x and B.
struct Shapes {
  Shape x, B, per_head_token, heads, states, chunk_states;
  DType dtype, state_dtype;
};

Shapes shapes_of(const TensorView& x, const TensorView& B, int64_t chunk) {
  core::check_rank("x", x, 4);
  core::check_rank("B", B, 4);
  CHECK_GE(chunk, 1) << "chunk";
  const int64_t batch = x.extent(0), length = x.extent(1), heads = x.extent(2),
                head_dim = x.extent(3);
  const int64_t groups = B.extent(2), state = B.extent(3);
  CHECK(head_dim >= 1 && state >= 1 && groups >= 1 && groups <= heads)
      << "x is " << x.shape() << ", B is " << B.shape()
      << ": every extent but batch and length must be at least 1, groups at most heads";
  return {.x = x.shape(),
          .B = {batch, length, groups, state},
          .per_head_token = {batch, length, heads},
          .heads = {heads},
          .states = {batch, heads, head_dim, state},
          .chunk_states = {batch, ssd_chunks(length, chunk), heads, head_dim, state},
          .dtype = x.dtype(),
          .state_dtype = core::state_dtype(x.dtype())};
}

/// Free batch and token strides, the last two dimensions packed.
void check_tokens(const core::Context& context, std::string_view name, const TensorView& view,
                  DType dtype, const Shape& shape) {
  core::check_rows(context, name, view, dtype, shape);
  const int last = shape.rank() - 1;
  CHECK(shape.elements() == 0 || shape[last - 1] == 1 || view.stride(last - 1) == shape[last])
      << name << ": the last two dimensions must be packed, stride is " << view.stride(last - 1);
}

void check_optional(const core::Context& context, std::string_view name, const TensorView& view,
                    DType dtype, const Shape& shape) {
  if (view) core::check_contiguous(context, name, view, dtype, shape);
}

Shapes check_forward_inputs(const core::Context& context, const SsdForward& args) {
  Shapes s = shapes_of(args.x, args.B, args.chunk);
  check_tokens(context, "x", args.x, s.dtype, s.x);
  check_tokens(context, "B", args.B, s.dtype, s.B);
  check_tokens(context, "C", args.C, s.dtype, s.B);
  core::check_rows(context, "dt", args.dt, s.state_dtype, s.per_head_token);
  core::check_contiguous(context, "A_log", args.A_log, s.state_dtype, s.heads);
  check_optional(context, "D", args.D, s.state_dtype, s.heads);
  check_optional(context, "initial_state", args.initial_state, s.state_dtype, s.states);
  check_optional(context, "final_state", args.final_state, s.state_dtype, s.states);
  check_optional(context, "chunk_states", args.chunk_states, s.dtype, s.chunk_states);
  return s;
}

void check_forward(const core::Context& context, const SsdForward& args) {
  const Shapes s = check_forward_inputs(context, args);
  check_tokens(context, "y", args.y, s.dtype, s.x);
}

Shapes check_backward_inputs(const core::Context& context, const SsdBackward& args) {
  Shapes s = shapes_of(args.x, args.B, args.chunk);
  check_tokens(context, "x", args.x, s.dtype, s.x);
  check_tokens(context, "B", args.B, s.dtype, s.B);
  check_tokens(context, "C", args.C, s.dtype, s.B);
  check_tokens(context, "dy", args.dy, s.dtype, s.x);
  core::check_rows(context, "dt", args.dt, s.state_dtype, s.per_head_token);
  core::check_contiguous(context, "A_log", args.A_log, s.state_dtype, s.heads);
  check_optional(context, "D", args.D, s.state_dtype, s.heads);
  core::check_contiguous(context, "chunk_states", args.chunk_states, s.dtype, s.chunk_states);
  check_optional(context, "dfinal_state", args.dfinal_state, s.state_dtype, s.states);
  check_optional(context, "dchunk_states", args.dchunk_states, s.dtype, s.chunk_states);
  return s;
}

void check_backward(const core::Context& context, const SsdBackward& args) {
  const Shapes s = check_backward_inputs(context, args);
  check_tokens(context, "dx", args.dx, s.dtype, s.x);
  check_tokens(context, "dB", args.dB, s.dtype, s.B);
  check_tokens(context, "dC", args.dC, s.dtype, s.B);
  core::check_rows(context, "ddt", args.ddt, s.state_dtype, s.per_head_token);
  core::check_contiguous(context, "dA_log", args.dA_log, s.state_dtype, s.heads);
  check_optional(context, "dD", args.dD, s.state_dtype, s.heads);
  CHECK_EQ(static_cast<bool>(args.D), static_cast<bool>(args.dD)) << "dD is absent iff D is";
  check_optional(context, "dinitial_state", args.dinitial_state, s.state_dtype, s.states);
}

}  // namespace

void ssd_forward(core::Context& context, const SsdForward& args) {
  check_forward(context, args);
  check_optional(context, "log_decay", args.log_decay, core::state_dtype(args.x.dtype()),
                 {args.x.extent(0), args.x.extent(2)});
  context.device().is_cpu() ? cpu::ssd_forward(context, args) : cuda::ssd_forward(context, args);
}

void ssd_forward_map(core::Context& context, const SsdForward& args, const SsdMap& map) {
  const Shapes s = check_forward_inputs(context, args);
  CHECK(args.chunk_states) << "chunk_states is absent";
  core::check_contiguous(context, "log_decay", map.log_decay, s.state_dtype, {s.x[0], s.x[2]});
  core::check_contiguous(context, "state_from_zero", map.state_from_zero, s.state_dtype, s.states);
  context.device().is_cpu() ? cpu::ssd_forward_map(context, args, map)
                            : cuda::ssd_forward_map(context, args, map);
}

void ssd_forward_intra(core::Context& context, const SsdForward& args) {
  check_forward(context, args);
  context.device().is_cpu() ? cpu::ssd_forward_intra(context, args)
                            : cuda::ssd_forward_intra(context, args);
}

void ssd_forward_inter(core::Context& context, const SsdForward& args) {
  check_forward(context, args);
  CHECK(args.chunk_states) << "chunk_states is absent";
  context.device().is_cpu() ? cpu::ssd_forward_inter(context, args)
                            : cuda::ssd_forward_inter(context, args);
}

void ssd_backward(core::Context& context, const SsdBackward& args) {
  check_backward(context, args);
  context.device().is_cpu() ? cpu::ssd_backward(context, args) : cuda::ssd_backward(context, args);
}

void ssd_backward_map(core::Context& context, const SsdBackward& args,
                      const core::TensorView& dstate_from_zero) {
  const Shapes s = check_backward_inputs(context, args);
  CHECK(args.dchunk_states) << "dchunk_states is absent";
  core::check_contiguous(context, "dstate_from_zero", dstate_from_zero, s.state_dtype, s.states);
  context.device().is_cpu() ? cpu::ssd_backward_map(context, args, dstate_from_zero)
                            : cuda::ssd_backward_map(context, args, dstate_from_zero);
}

void ssd_backward_intra(core::Context& context, const SsdBackward& args) {
  check_backward(context, args);
  context.device().is_cpu() ? cpu::ssd_backward_intra(context, args)
                            : cuda::ssd_backward_intra(context, args);
}

void ssd_backward_inter(core::Context& context, const SsdBackward& args) {
  check_backward(context, args);
  CHECK(args.dchunk_states) << "dchunk_states is absent";
  context.device().is_cpu() ? cpu::ssd_backward_inter(context, args)
                            : cuda::ssd_backward_inter(context, args);
}

void ssd_step(core::Context& context, const SsdStep& args) {
  core::check_rank("x", args.x, 3);
  core::check_rank("B", args.B, 3);
  const int64_t batch = args.x.extent(0), heads = args.x.extent(1), head_dim = args.x.extent(2);
  const int64_t groups = args.B.extent(1), state = args.B.extent(2);
  const DType dtype = args.x.dtype(), state_dtype = core::state_dtype(dtype);
  CHECK(groups >= 1 && groups <= heads) << "x is " << args.x.shape() << ", B is " << args.B.shape();
  check_tokens(context, "x", args.x, dtype, args.x.shape());
  check_tokens(context, "y", args.y, dtype, args.x.shape());
  check_tokens(context, "B", args.B, dtype, {batch, groups, state});
  check_tokens(context, "C", args.C, dtype, {batch, groups, state});
  core::check_rows(context, "dt", args.dt, state_dtype, {batch, heads});
  core::check_contiguous(context, "A_log", args.A_log, state_dtype, {heads});
  check_optional(context, "D", args.D, state_dtype, {heads});
  core::check_contiguous(context, "state", args.state, state_dtype,
                         {batch, heads, head_dim, state});
  context.device().is_cpu() ? cpu::ssd_step(context, args) : cuda::ssd_step(context, args);
}

}  // namespace longhaul::kernels
