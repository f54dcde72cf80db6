// The place of cuBLASLt where a device is emulated: a plain product with fp32 accumulation, and the
// memory that cuBLASLt would hold.
#include "kernels/linear/gemm_cuda.h"

#include "kernels/core/cuda_queue.cuh"
#include "kernels/cuda_sizes.h"
#include "tests/support/simt/stream.h"

namespace longhaul::kernels::cuda {
namespace {

float read(const core::TensorView& matrix, int64_t i, int64_t j) {
  const int64_t at = i * leading_dimension(matrix) + j;
  return matrix.dtype() == core::DType::kF32
             ? matrix.data<float>()[at]
             : static_cast<float>(matrix.data<core::BFloat16>()[at]);
}

struct Workspace final : core::LibraryHandles {
  explicit Workspace(core::Context& context)
      : memory(context, core::DType::kF32, {kGemmWorkspace / core::size_of(core::DType::kF32)}) {}
  core::Tensor memory;
};

void multiply(const Gemm& g) {
  const int64_t m = g.c.extent(0), n = g.c.extent(1);
  const int64_t k = g.transpose_a ? g.a.extent(0) : g.a.extent(1);
  CHECK_EQ(k, g.transpose_b ? g.b.extent(1) : g.b.extent(0));
  CHECK_EQ(m, g.transpose_a ? g.a.extent(1) : g.a.extent(0));
  CHECK_EQ(n, g.transpose_b ? g.b.extent(0) : g.b.extent(1));
  CHECK(g.a.dtype() == g.b.dtype());
  if (g.addend) {
    CHECK(g.addend.dtype() == g.c.dtype());
    CHECK(g.addend.shape() == g.c.shape());
  }
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      float sum = 0;
      for (int64_t l = 0; l < k; ++l) {
        sum += (g.transpose_a ? read(g.a, l, i) : read(g.a, i, l)) *
               (g.transpose_b ? read(g.b, j, l) : read(g.b, l, j));
      }
      if (g.addend) sum += read(g.addend, i, j);
      const int64_t at = i * leading_dimension(g.c) + j;
      if (g.c.dtype() == core::DType::kF32) {
        g.c.data<float>()[at] = sum;
      } else {
        g.c.data<core::BFloat16>()[at] = core::BFloat16(sum);
      }
    }
  }
}

}  // namespace

void gemm(core::Context& context, const Gemm& args) {
  context.queue()->handles<Workspace>([&] { return std::make_unique<Workspace>(context); });
  simt::run_or_record(core::stream_of(context), [args] { multiply(args); });
}

}  // namespace longhaul::kernels::cuda
