#include "kernels/conv1d/causal_conv1d.h"

#include "kernels/core/error.h"
#include "kernels/core/view_checks.h"

namespace longhaul::kernels {
namespace {

struct Extents {
  int64_t batch, length, channels, taps;
  core::DType dtype;
};

/// What both directions share: x, weight, bias and initial_state.
template <class Args>
Extents check_inputs(const core::Context& context, const Args& args) {
  core::check_rank("conv1d x", args.x, 3);
  core::check_rank("conv1d weight", args.weight, 2);
  const Extents e{args.x.extent(0), args.x.extent(1), args.x.extent(2), args.weight.extent(1),
                  args.x.dtype()};
  if (e.taps < 1 || e.taps > 8) {
    throw core::Error(core::message("conv1d: kernel size ", e.taps, " is not supported (1 to 8)"));
  }
  core::check_rows(context, "conv1d x", args.x, e.dtype, {e.batch, e.length, e.channels});
  core::check_contiguous(context, "conv1d weight", args.weight, e.dtype, {e.channels, e.taps});
  if (args.bias) core::check_contiguous(context, "conv1d bias", args.bias, e.dtype, {e.channels});
  if (args.initial_state) {
    core::check_rows(context, "conv1d initial_state", args.initial_state,
                     core::state_dtype(e.dtype), {e.batch, e.taps - 1, e.channels});
  }
  return e;
}

}  // namespace

void causal_conv1d_forward(core::Context& context, const CausalConv1dForward& args) {
  const Extents e = check_inputs(context, args);
  core::check_rows(context, "conv1d y", args.y, e.dtype, {e.batch, e.length, e.channels});
  if (args.final_state) {
    core::check_rows(context, "conv1d final_state", args.final_state, core::state_dtype(e.dtype),
                     {e.batch, e.taps - 1, e.channels});
    CHECK(!args.initial_state || args.final_state.elements() == 0 ||
          args.final_state.raw() != args.initial_state.raw())
        << "conv1d final_state is initial_state";
  }
  return context.device().is_cpu() ? cpu::causal_conv1d_forward(context, args)
                                   : cuda::causal_conv1d_forward(context, args);
}

void causal_conv1d_backward(core::Context& context, const CausalConv1dBackward& args) {
  const Extents e = check_inputs(context, args);
  const core::Shape state = {e.batch, e.taps - 1, e.channels};
  core::check_rows(context, "conv1d dy", args.dy, e.dtype, {e.batch, e.length, e.channels});
  core::check_rows(context, "conv1d dx", args.dx, e.dtype, {e.batch, e.length, e.channels});
  core::check_contiguous(context, "conv1d dweight", args.dweight, core::state_dtype(e.dtype),
                         {e.channels, e.taps});
  CHECK_EQ(static_cast<bool>(args.bias), static_cast<bool>(args.dbias))
      << "conv1d: bias and dbias go together";
  if (args.dbias)
    core::check_contiguous(context, "conv1d dbias", args.dbias, core::state_dtype(e.dtype),
                           {e.channels});
  if (args.dfinal_state)
    core::check_rows(context, "conv1d dfinal_state", args.dfinal_state, core::state_dtype(e.dtype),
                     state);
  if (args.dinitial_state) {
    core::check_rows(context, "conv1d dinitial_state", args.dinitial_state,
                     core::state_dtype(e.dtype), state);
  }
  return context.device().is_cpu() ? cpu::causal_conv1d_backward(context, args)
                                   : cuda::causal_conv1d_backward(context, args);
}

}  // namespace longhaul::kernels
