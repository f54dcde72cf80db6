#include "trainer/optimizer.h"

#include <cmath>

#include "kernels/optimizer/adamw.h"

namespace longhaul::trainer {

Optimizer::Optimizer(core::Context& context, model::ParameterSet& parameters,
                     const OptimizerConfig& config)
    : context_(context), parameters_(parameters), config_(config) {
  const core::TensorView values = parameters.values();
  const core::DType dtype = core::state_dtype(values.dtype());
  first_moment_ = core::Tensor::zeros(context, dtype, values.shape());
  second_moment_ = core::Tensor::zeros(context, dtype, values.shape());
  // Gaps between parameters go with the parameter before them: zeros stay zeros under AdamW.
  for (const model::Parameter& parameter : parameters.list()) {
    if (ranges_.empty() || ranges_.back().decay != parameter.decay) {
      if (!ranges_.empty()) ranges_.back().end = parameter.begin;
      ranges_.push_back({parameter.begin, 0, parameter.decay});
    }
  }
  if (!ranges_.empty()) ranges_.back().end = values.elements();
}

Optimizer::Outcome Optimizer::step(double rate, bool finite) {
  const core::TensorView gradients = parameters_.gradients();
  Outcome outcome;
  outcome.gradient_norm = std::sqrt(kernels::sum_of_squares(context_, gradients));
  outcome.skipped = !finite || !std::isfinite(outcome.gradient_norm);
  if (!outcome.skipped) {
    ++steps_;
    const bool clips = config_.clip > 0 && outcome.gradient_norm > config_.clip;
    for (const Range& range : ranges_) {
      const auto part = [&](const core::TensorView& flat) {
        return flat.slice(0, range.begin, range.end);
      };
      kernels::adamw_step(
          context_,
          {.weight = part(parameters_.values()),
           .gradient = part(gradients),
           .first_moment = part(first_moment_),
           .second_moment = part(second_moment_),
           .rounded = parameters_.rounded() ? part(parameters_.rounded()) : core::TensorView{},
           .rate = rate,
           .beta1 = config_.beta1,
           .beta2 = config_.beta2,
           .epsilon = config_.epsilon,
           .decay = range.decay ? config_.decay : 0,
           .gradient_scale = clips ? config_.clip / outcome.gradient_norm : 1,
           .step = steps_});
    }
  }
  core::set_zero(context_, gradients);
  return outcome;
}

}  // namespace longhaul::trainer
