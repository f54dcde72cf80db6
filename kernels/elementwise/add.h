#pragma once

#include "kernels/core/context.h"
#include "kernels/core/tensor.h"

namespace longhaul::kernels {

/// target += source; equal shapes and dtypes, both contiguous.
void add(core::Context& context, const core::TensorView& source, const core::TensorView& target);

namespace cpu {
void add(core::Context& context, const core::TensorView& source, const core::TensorView& target);
}  // namespace cpu
namespace cuda {
void add(core::Context& context, const core::TensorView& source, const core::TensorView& target);
}  // namespace cuda

}  // namespace longhaul::kernels
