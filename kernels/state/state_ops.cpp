#include "kernels/state/state_ops.h"

#include "kernels/core/view_checks.h"

namespace longhaul::kernels {
namespace {

/// state [batch, groups, …] contiguous; the statistics [groups] fp64 on `device`.
void check_state(const core::Context& context, const core::TensorView& state,
                 const core::TensorView& first, const core::TensorView& second,
                 core::Device device) {
  CHECK(state && state.rank() >= 2) << "state has shape " << state.shape();
  core::check_contiguous(context, "state", state, state.dtype(), state.shape());
  for (const core::TensorView& statistic : {first, second}) {
    CHECK(statistic && statistic.device() == device && statistic.dtype() == core::DType::kF64 &&
          statistic.shape() == core::Shape{state.extent(1)} && statistic.is_contiguous())
        << "statistics of a state are fp64 " << core::Shape{state.extent(1)} << " on "
        << core::name_of(device) << ", not " << core::name_of(statistic.dtype()) << " "
        << statistic.shape();
  }
}

}  // namespace

void state_noise(core::Context& context, const StateNoise& args) {
  check_state(context, args.state, args.mean, args.deviation, context.device());
  return context.device().is_cpu() ? cpu::state_noise(context, args)
                                   : cuda::state_noise(context, args);
}

void state_moments(core::Context& context, const StateMoments& args) {
  check_state(context, args.state, args.sum, args.sum_of_squares, {});
  return context.device().is_cpu() ? cpu::state_moments(context, args)
                                   : cuda::state_moments(context, args);
}

}  // namespace longhaul::kernels
