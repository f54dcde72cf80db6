// What the layers that know no op need to compute on a device: the exchange of states between
// ranks.
#pragma once

#include "kernels/core/context.h"
#include "kernels/core/tensor.h"

namespace longhaul::core {

/// result[i] = e^{log_factor[row of i]} · before[i] + state[i] for elements [begin, end) of the
/// flattened tensors, all contiguous fp32; a row has elements / log_factor.elements() of them. A
/// factor of exactly 0 forgets even an infinite `before`; `before` absent is zero. result may be
/// any of the others.
struct CudaAffine {
  TensorView log_factor, before, state, result;
  int64_t begin = 0, end = 0;
};
void cuda_affine(Context& context, const CudaAffine& args);

/// target += source; equal shapes, any strides, each fp32 or bf16.
void cuda_accumulate(Context& context, const TensorView& source, const TensorView& target);

/// Every element of a contiguous fp32 view.
void cuda_fill(Context& context, const TensorView& target, double value);

}  // namespace longhaul::core
