// The place of cuBLASLt where a device is emulated: a plain product with fp32 accumulation.
#include "kernels/linear/gemm_cuda.h"

#include "tests/support/simt/device_memory.h"

namespace longhaul::kernels::cuda {
namespace {

float read(const core::TensorView& matrix, int64_t i, int64_t j) {
  const int64_t at = i * leading_dimension(matrix) + j;
  return matrix.dtype() == core::DType::kF32
             ? matrix.data<float>()[at]
             : static_cast<float>(matrix.data<core::BFloat16>()[at]);
}

}  // namespace

void gemm(core::Context&, const Gemm& g) {
  const simt::DeviceAccess access;
  const int64_t m = g.c.extent(0), n = g.c.extent(1);
  const int64_t k = g.transpose_a ? g.a.extent(0) : g.a.extent(1);
  CHECK_EQ(k, g.transpose_b ? g.b.extent(1) : g.b.extent(0));
  CHECK_EQ(m, g.transpose_a ? g.a.extent(1) : g.a.extent(0));
  CHECK_EQ(n, g.transpose_b ? g.b.extent(0) : g.b.extent(1));
  CHECK(g.a.dtype() == g.b.dtype());
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      float sum = 0;
      for (int64_t l = 0; l < k; ++l) {
        sum += (g.transpose_a ? read(g.a, l, i) : read(g.a, i, l)) *
               (g.transpose_b ? read(g.b, j, l) : read(g.b, l, j));
      }
      if (g.beta != 0) sum += g.beta * read(g.c, i, j);
      const int64_t at = i * leading_dimension(g.c) + j;
      if (g.c.dtype() == core::DType::kF32) {
        g.c.data<float>()[at] = sum;
      } else {
        g.c.data<core::BFloat16>()[at] = core::BFloat16(sum);
      }
    }
  }
}

}  // namespace longhaul::kernels::cuda
