#include "kernels/linear/gemm_cpu.h"

#include <oneapi/dnnl/dnnl.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/core/error.h"
#include "kernels/core/parallel.h"

namespace longhaul::kernels::cpu {
namespace {

/// Nothing to multiply: C = beta C (without reading C if beta is 0, as it may be uninitialised).
template <class T>
void scale_only(const Gemm<T>& args) {
  for (int64_t i = 0; i < args.m; ++i) {
    T* row = args.c + i * args.ldc;
    for (int64_t j = 0; j < args.n; ++j) row[j] = args.beta == T(0) ? T(0) : args.beta * row[j];
  }
}

/// Side of the tiles that one dimension of C is cut into. A function of the shape alone: the
/// results must not depend on the number of threads, and oneDNN's own threading splits k by it.
[[maybe_unused]] int64_t tile_side(int64_t extent, int64_t wanted) {
  const int64_t tiles = (extent + wanted - 1) / wanted;
  const int64_t even = (extent + tiles - 1) / tiles;
  return (even + 15) / 16 * 16;
}

void sgemm(const Gemm<float>& args) {
  const dnnl_status_t status =
      dnnl_sgemm(args.transpose_a ? 'T' : 'N', args.transpose_b ? 'T' : 'N', args.m, args.n, args.k,
                 args.alpha, args.a, args.lda, args.b, args.ldb, args.beta, args.c, args.ldc);
  if (status != dnnl_success) {
    throw core::Error(core::message("oneDNN refused a matrix product [", args.m, " x ", args.k,
                                    "] x [", args.k, " x ", args.n, "], status ", status));
  }
}

}  // namespace

void gemm(core::Context& context, const Gemm<float>& args) {
  if (args.m == 0 || args.n == 0) return;
  if (args.k == 0 || args.alpha == 0) return scale_only(args);
  sgemm(args);
  (void)context;
}

namespace {

constexpr int64_t kRowsAtOnce = 4;

/// Four rows of C over all of k, streaming the rows of op(B).
void multiply_rows(const Gemm<double>& args, const double* b, int64_t ldb, int64_t i,
                   int64_t rows) {
  const int64_t row_step = args.transpose_a ? 1 : args.lda;
  const int64_t k_step = args.transpose_a ? args.lda : 1;
  for (int64_t r = i; r < i + rows; ++r) {
    double* c = args.c + r * args.ldc;
    for (int64_t j = 0; j < args.n; ++j) c[j] = args.beta == 0 ? 0 : args.beta * c[j];
  }
  double* c[kRowsAtOnce];
  for (int64_t r = 0; r < kRowsAtOnce; ++r) c[r] = args.c + (i + std::min(r, rows - 1)) * args.ldc;
  for (int64_t l = 0; l < args.k; ++l) {
    const double* a = args.a + i * row_step + l * k_step;
    const double* b_row = b + l * ldb;
    if (rows == kRowsAtOnce) {
      const double a0 = args.alpha * a[0], a1 = args.alpha * a[row_step];
      const double a2 = args.alpha * a[2 * row_step], a3 = args.alpha * a[3 * row_step];
#pragma omp simd
      for (int64_t j = 0; j < args.n; ++j) {
        c[0][j] = std::fma(a0, b_row[j], c[0][j]);
        c[1][j] = std::fma(a1, b_row[j], c[1][j]);
        c[2][j] = std::fma(a2, b_row[j], c[2][j]);
        c[3][j] = std::fma(a3, b_row[j], c[3][j]);
      }
    } else {
      for (int64_t r = 0; r < rows; ++r) {
        const double factor = args.alpha * a[r * row_step];
#pragma omp simd
        for (int64_t j = 0; j < args.n; ++j) c[r][j] = std::fma(factor, b_row[j], c[r][j]);
      }
    }
  }
}

}  // namespace

void gemm(core::Context& context, const Gemm<double>& args) {
  if (args.m == 0 || args.n == 0) return;
  if (args.k == 0 || args.alpha == 0) return scale_only(args);
  const double* b = args.b;
  int64_t ldb = args.ldb;
  std::vector<double> upright;
  if (args.transpose_b) {
    upright.resize(static_cast<size_t>(args.k * args.n));
    for (int64_t j = 0; j < args.n; ++j) {
      for (int64_t l = 0; l < args.k; ++l) upright[l * args.n + j] = args.b[j * args.ldb + l];
    }
    b = upright.data();
    ldb = args.n;
  }
  const int64_t groups = (args.m + kRowsAtOnce - 1) / kRowsAtOnce;
  const int64_t grain = 1 + 50'000 / (args.n * args.k);
  core::parallel_ranges(context, groups, grain, [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) {
      const int64_t i = g * kRowsAtOnce;
      multiply_rows(args, b, ldb, i, std::min(kRowsAtOnce, args.m - i));
    }
  });
}

}  // namespace longhaul::kernels::cpu
