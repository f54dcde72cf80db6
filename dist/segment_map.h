// Arithmetic of segment maps S ↦ e^{log_decay} ⊙ S + state.
#pragma once

#include "kernels/core/context.h"
#include "kernels/core/tensor.h"

namespace longhaul::dist {

/// result[i] = e^{log_decay[row of i]} · before[i] + state[i] for the elements [begin, end) of the
/// flattened tensors, where every row (one batch entry and group) has elements /
/// log_decay.elements() of them. A decay of exactly 0 forgets even an infinite `before`. `before`
/// absent is zero. result may be any of the others.
struct MapApplication {
  core::TensorView log_decay, before, state, result;
};
void apply_maps(core::Context& context, const MapApplication& args, int64_t begin, int64_t end);
/// All elements.
void apply_maps(core::Context& context, const MapApplication& args);

/// target += addend (log-decays of two segments in a row).
void add_log_decays(core::Context& context, const core::TensorView& addend,
                    const core::TensorView& target);
void fill(core::Context& context, const core::TensorView& target, double value);

}  // namespace longhaul::dist
