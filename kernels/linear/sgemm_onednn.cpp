#include <oneapi/dnnl/dnnl.h>

#include "kernels/linear/gemm_cpu.h"

namespace longhaul::kernels::cpu {

int sgemm(const Gemm<float>& g) {
  return dnnl_sgemm(g.transpose_a ? 'T' : 'N', g.transpose_b ? 'T' : 'N', g.m, g.n, g.k, g.alpha,
                    g.a, g.lda, g.b, g.ldb, g.beta, g.c, g.ldc);
}

}  // namespace longhaul::kernels::cpu
