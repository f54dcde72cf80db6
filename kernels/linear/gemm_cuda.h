// Row-major matrix product on the device, fp32 accumulation: cuBLASLt (gemm_cublaslt.cu); plain
// loops where the tests emulate a device.
#pragma once

#include <cstdint>

#include "kernels/core/context.h"
#include "kernels/core/tensor.h"

namespace longhaul::kernels::cuda {

/// C = op(A) op(B) + addend; A and B of one dtype (fp32, bf16), C and the addend (may be absent,
/// may be C) of that or fp32. Views are matrices whose rows may be strided, in the shape they are
/// stored in: op(A) is [m, k], op(B) is [k, n], C is [m, n].
struct Gemm {
  bool transpose_a = false, transpose_b = false;
  core::TensorView a, b, addend;
  core::TensorView c;
};
void gemm(core::Context& context, const Gemm& args);

/// Row stride of a matrix as BLAS wants it: a single row may have any stride.
inline int64_t leading_dimension(const core::TensorView& matrix) {
  const int64_t least = matrix.extent(1) > 0 ? matrix.extent(1) : 1;
  return matrix.extent(0) > 1 && matrix.stride(0) > least ? matrix.stride(0) : least;
}

}  // namespace longhaul::kernels::cuda
