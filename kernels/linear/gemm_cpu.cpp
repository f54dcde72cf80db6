#include "kernels/linear/gemm_cpu.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <new>
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

/// How C is cut into tiles, one oneDNN call each. A function of the shape alone: oneDNN's own
/// threading cuts k by the number of threads, and with it the order of the sums.
struct Tiling {
  int64_t rows, columns;

  Tiling(int64_t m, int64_t n, int64_t k) : rows(m), columns(n) {
    constexpr int64_t kTilesWanted = 8, kLeastSide = 64, kLeastWork = int64_t{1} << 21;
    if (m * n * k < kLeastWork) return;
    rows = std::min<int64_t>(m, 256);
    columns = std::min<int64_t>(n, 512);
    auto tiles = [&] { return ((m + rows - 1) / rows) * ((n + columns - 1) / columns); };
    while (tiles() < kTilesWanted && std::max(rows, columns) > kLeastSide) {
      int64_t& longer = columns >= rows ? columns : rows;
      longer = (longer / 2 + 15) / 16 * 16;
    }
  }
};

/// oneDNN calls made on this thread meanwhile stay on it.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

}  // namespace

void gemm(core::Context& context, const Gemm<float>& args) {
  if (args.m == 0 || args.n == 0) return;
  if (args.k == 0 || args.alpha == 0) return scale_only(args);
  const Tiling tile(args.m, args.n, args.k);
  const int64_t across = (args.n + tile.columns - 1) / tile.columns;
  const int64_t down = (args.m + tile.rows - 1) / tile.rows;
  std::atomic<int> status = 0;  // an exception must not leave a parallel region
  const OneThread one_thread;
  core::parallel_items(context, down * across, [&](int64_t t) {
    const int64_t i = t / across * tile.rows, j = t % across * tile.columns;
    Gemm<float> part = args;
    part.m = std::min(tile.rows, args.m - i);
    part.n = std::min(tile.columns, args.n - j);
    part.a += i * (args.transpose_a ? 1 : args.lda);
    part.b += j * (args.transpose_b ? args.ldb : 1);
    part.c += i * args.ldc + j;
    if (const int s = sgemm(part); s != 0) status = s;
  });
  constexpr int kOutOfMemory = 1;  // dnnl_out_of_memory
  if (status == kOutOfMemory) throw std::bad_alloc();
  if (status != 0) {
    throw core::Error(core::message("oneDNN refused a matrix product [", args.m, " x ", args.k,
                                    "] x [", args.k, " x ", args.n, "], status ", status.load()));
  }
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
