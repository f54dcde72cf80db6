#include "kernels/selective_scan/selective_scan.h"

#include "kernels/core/view_checks.h"

namespace longhaul::kernels {
namespace {

using core::DType;
using core::Shape;
using core::TensorView;

/// The shapes that follow from dt and A_log, which every form of the op reads.
struct Shapes {
  Shape x, B, channels, A_log, states, chunk_states;
  DType dtype, state_dtype;
};

Shapes shapes_of(const TensorView& dt, const TensorView& A_log) {
  core::check_rank("dt", dt, 3);
  core::check_rank("A_log", A_log, 2);
  const int64_t batch = dt.extent(0), length = dt.extent(1), channels = dt.extent(2),
                state = A_log.extent(1);
  CHECK(channels >= 1 && state >= 1) << "dt is " << dt.shape() << ", A_log is " << A_log.shape()
                                     << ": every extent but batch and length must be at least 1";
  return {.x = dt.shape(),
          .B = {batch, length, state},
          .channels = {channels},
          .A_log = {channels, state},
          .states = {batch, channels, state},
          .chunk_states = {batch, scan_chunks(length), channels, state},
          .dtype = dt.dtype(),
          .state_dtype = core::state_dtype(dt.dtype())};
}

void check_optional(const core::Context& context, std::string_view name, const TensorView& view,
                    DType dtype, const Shape& shape) {
  if (view) core::check_contiguous(context, name, view, dtype, shape);
}

/// dt, dt_bias and A_log.
template <class Args>
Shapes check_decays(const core::Context& context, const Args& args) {
  Shapes s = shapes_of(args.dt, args.A_log);
  core::check_rows(context, "dt", args.dt, s.dtype, s.x);
  core::check_contiguous(context, "dt_bias", args.dt_bias, s.state_dtype, s.channels);
  core::check_contiguous(context, "A_log", args.A_log, s.state_dtype, s.A_log);
  return s;
}

/// These, and x and B.
template <class Args>
Shapes check_inputs(const core::Context& context, const Args& args) {
  Shapes s = check_decays(context, args);
  core::check_rows(context, "x", args.x, s.dtype, s.x);
  core::check_rows(context, "B", args.B, s.dtype, s.B);
  return s;
}

}  // namespace

void selective_scan_forward(core::Context& context, const SelectiveScanForward& args) {
  const Shapes s = check_inputs(context, args);
  core::check_rows(context, "C", args.C, s.dtype, s.B);
  core::check_rows(context, "y", args.y, s.dtype, s.x);
  core::check_contiguous(context, "D", args.D, s.state_dtype, s.channels);
  check_optional(context, "initial_state", args.initial_state, s.state_dtype, s.states);
  check_optional(context, "final_state", args.final_state, s.state_dtype, s.states);
  check_optional(context, "chunk_states", args.chunk_states, s.state_dtype, s.chunk_states);
  check_optional(context, "log_decay", args.log_decay, s.state_dtype, s.states);
  context.device().is_cpu() ? cpu::selective_scan_forward(context, args)
                            : cuda::selective_scan_forward(context, args);
}

void selective_scan_map(core::Context& context, const SelectiveScanForward& args,
                        const SelectiveScanMap& map) {
  const Shapes s = check_inputs(context, args);
  core::check_contiguous(context, "log_decay", map.log_decay, s.state_dtype, s.states);
  core::check_contiguous(context, "state_from_zero", map.state_from_zero, s.state_dtype, s.states);
  context.device().is_cpu() ? cpu::selective_scan_map(context, args, map)
                            : cuda::selective_scan_map(context, args, map);
}

void selective_scan_backward(core::Context& context, const SelectiveScanBackward& args) {
  const Shapes s = check_inputs(context, args);
  core::check_rows(context, "C", args.C, s.dtype, s.B);
  core::check_rows(context, "dy", args.dy, s.dtype, s.x);
  core::check_contiguous(context, "D", args.D, s.state_dtype, s.channels);
  core::check_contiguous(context, "chunk_states", args.chunk_states, s.state_dtype, s.chunk_states);
  check_optional(context, "dfinal_state", args.dfinal_state, s.state_dtype, s.states);
  core::check_rows(context, "dx", args.dx, s.dtype, s.x);
  core::check_rows(context, "ddt", args.ddt, s.dtype, s.x);
  core::check_rows(context, "dB", args.dB, s.dtype, s.B);
  core::check_rows(context, "dC", args.dC, s.dtype, s.B);
  core::check_contiguous(context, "ddt_bias", args.ddt_bias, s.state_dtype, s.channels);
  core::check_contiguous(context, "dA_log", args.dA_log, s.state_dtype, s.A_log);
  core::check_contiguous(context, "dD", args.dD, s.state_dtype, s.channels);
  check_optional(context, "dinitial_state", args.dinitial_state, s.state_dtype, s.states);
  context.device().is_cpu() ? cpu::selective_scan_backward(context, args)
                            : cuda::selective_scan_backward(context, args);
}

void selective_scan_backward_map(core::Context& context, const SelectiveScanBackward& args,
                                 const core::TensorView& dstate_from_zero) {
  const Shapes s = check_decays(context, args);
  core::check_rows(context, "C", args.C, s.dtype, s.B);
  core::check_rows(context, "dy", args.dy, s.dtype, s.x);
  core::check_contiguous(context, "dstate_from_zero", dstate_from_zero, s.state_dtype, s.states);
  context.device().is_cpu() ? cpu::selective_scan_backward_map(context, args, dstate_from_zero)
                            : cuda::selective_scan_backward_map(context, args, dstate_from_zero);
}

}  // namespace longhaul::kernels
