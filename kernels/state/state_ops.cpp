#include "kernels/state/state_ops.h"

#include "kernels/core/view_checks.h"

namespace longhaul::kernels {
namespace {

/// [batch, groups, …] contiguous.
void check_state(const core::Context& context, const core::TensorView& state) {
  CHECK(state && state.rank() >= 2) << "state has shape " << state.shape();
  core::check_contiguous(context, "state", state, state.dtype(), state.shape());
}

/// [groups] fp64 on `device`.
void check_statistic(const core::TensorView& statistic, int64_t groups, core::Device device) {
  CHECK(statistic && statistic.device() == device && statistic.dtype() == core::DType::kF64 &&
        statistic.shape() == core::Shape{groups} && statistic.is_contiguous())
      << "statistics of states are fp64 " << core::Shape{groups} << " on " << core::name_of(device)
      << ", not " << core::name_of(statistic.dtype()) << " " << statistic.shape();
}

}  // namespace

void state_noise(core::Context& context, const StateNoise& args) {
  check_state(context, args.state);
  for (const core::TensorView& statistic : {args.mean, args.deviation}) {
    check_statistic(statistic, args.state.extent(1), context.device());
  }
  return context.device().is_cpu() ? cpu::state_noise(context, args)
                                   : cuda::state_noise(context, args);
}

void state_moments(core::Context& context, const StateMoments& args) {
  int64_t groups = 0;
  for (const core::TensorView& state : args.states) {
    check_state(context, state);
    CHECK(state.dtype() == args.states.front().dtype()) << "states of several dtypes";
    groups += state.extent(1);
  }
  check_statistic(args.sum, groups, {});
  check_statistic(args.sum_of_squares, groups, {});
  if (args.states.empty()) return;
  return context.device().is_cpu() ? cpu::state_moments(context, args)
                                   : cuda::state_moments(context, args);
}

void state_gather(core::Context& context, const StateGather& args) {
  CHECK(args.target && args.target.rank() >= 1) << "state_gather target is absent or a number";
  const core::DType dtype = args.target.dtype();
  core::check_contiguous(context, "state_gather target", args.target, dtype, args.target.shape());
  core::check_contiguous(context, "state_gather from", args.from, core::DType::kI32,
                         {args.target.extent(0)});
  if (args.source) {
    core::check_rank("state_gather source", args.source, args.target.rank());
    core::check_contiguous(context, "state_gather source", args.source, dtype, args.source.shape());
    for (int i = 1; i < args.target.rank(); ++i) {
      CHECK_EQ(args.source.extent(i), args.target.extent(i)) << "state_gather source";
    }
  }
  if (args.target.elements() == 0) return;
  return context.device().is_cpu() ? cpu::state_gather(context, args)
                                   : cuda::state_gather(context, args);
}

}  // namespace longhaul::kernels
