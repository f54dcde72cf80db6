#pragma once

#include "kernels/core/context.h"
#include "kernels/core/tensor.h"

namespace longhaul::kernels {

/// target = source, rounded to nearest even where target is bf16; both contiguous, equal shapes,
/// each fp32 or bf16.
void convert(core::Context& context, const core::TensorView& source,
             const core::TensorView& target);

namespace cpu {
void convert(core::Context& context, const core::TensorView& source,
             const core::TensorView& target);
}  // namespace cpu
namespace cuda {
void convert(core::Context& context, const core::TensorView& source,
             const core::TensorView& target);
}  // namespace cuda

}  // namespace longhaul::kernels
