// Products without oneDNN: op(A) and op(B), packed into panels, by register tiles of AVX2's size.
#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

#include "kernels/linear/gemm_cpu.h"

namespace longhaul::kernels::cpu {

namespace {

constexpr int64_t kLanes = 8, kTileRows = 6, kTileColumns = 2 * kLanes;
constexpr int64_t kBlockRows = 8 * kTileRows, kBlockColumns = 32 * kTileColumns, kBlockDepth = 256;
typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float))));

struct Part {
  int64_t begin, count;
};

/// op(B)[depth, columns] as panels [kBlockDepth][kTileColumns], with zeros beyond the last column.
void pack_b(const Gemm<float>& g, Part depth, Part columns, float* to) {
  const int64_t k_step = g.transpose_b ? 1 : g.ldb, column_step = g.transpose_b ? g.ldb : 1;
  for (int64_t j = 0; j < columns.count; j += kTileColumns, to += kBlockDepth * kTileColumns) {
    const int64_t width = std::min(kTileColumns, columns.count - j);
    const float* from = g.b + depth.begin * k_step + (columns.begin + j) * column_step;
    for (int64_t l = 0; l < depth.count; ++l) {
      float* row = to + l * kTileColumns;
      for (int64_t c = 0; c < width; ++c) row[c] = from[l * k_step + c * column_step];
      std::fill(row + width, row + kTileColumns, 0.0f);
    }
  }
}

/// op(A)[rows, depth] as panels [kBlockDepth][kTileRows], with zeros beyond the last row.
void pack_a(const Gemm<float>& g, Part rows, Part depth, float* to) {
  const int64_t row_step = g.transpose_a ? 1 : g.lda, k_step = g.transpose_a ? g.lda : 1;
  for (int64_t i = 0; i < rows.count; i += kTileRows, to += kBlockDepth * kTileRows) {
    const int64_t height = std::min(kTileRows, rows.count - i);
    const float* from = g.a + (rows.begin + i) * row_step + depth.begin * k_step;
    for (int64_t l = 0; l < depth.count; ++l) {
      for (int64_t r = 0; r < kTileRows; ++r)
        to[l * kTileRows + r] = r < height ? from[r * row_step + l * k_step] : 0.0f;
    }
  }
}

/// sums[kTileRows][kTileColumns] of two panels over `depth`.
void multiply_panels(const float* a, const float* b, int64_t depth, float* sums) {
  Lanes tile[kTileRows][2] = {};
  for (int64_t l = 0; l < depth; ++l, a += kTileRows, b += kTileColumns) {
    Lanes left, right;
    std::memcpy(&left, b, sizeof left);
    std::memcpy(&right, b + kLanes, sizeof right);
#pragma GCC unroll 6
    for (int64_t r = 0; r < kTileRows; ++r) {
      tile[r][0] += a[r] * left;
      tile[r][1] += a[r] * right;
    }
  }
  std::memcpy(sums, tile, sizeof tile);
}

/// C's rows of one block from panels of B, the first of them of `columns`.
void multiply_block(const Gemm<float>& g, Part rows, Part depth, Part columns, const float* b) {
  float a[kBlockRows * kBlockDepth];
  pack_a(g, rows, depth, a);
  const float beta = depth.begin == 0 ? g.beta : 1.0f;
  for (int64_t j = 0; j < columns.count; j += kTileColumns) {
    for (int64_t i = 0; i < rows.count; i += kTileRows) {
      float sums[kTileRows * kTileColumns];
      multiply_panels(a + i * kBlockDepth, b + j * kBlockDepth, depth.count, sums);
      const int64_t height = std::min(kTileRows, rows.count - i);
      const int64_t width = std::min(kTileColumns, columns.count - j);
      for (int64_t r = 0; r < height; ++r) {
        float* c = g.c + (rows.begin + i + r) * g.ldc + columns.begin + j;
        const float* sum = sums + r * kTileColumns;
        for (int64_t s = 0; s < width; ++s)
          c[s] = beta == 0 ? g.alpha * sum[s] : g.alpha * sum[s] + beta * c[s];
      }
    }
  }
}

}  // namespace

int sgemm(const Gemm<float>& g) {
  const std::unique_ptr<float[]> b(new (std::nothrow) float[kBlockDepth * kBlockColumns]);
  if (!b) return 1;
  for (int64_t l = 0; l < g.k; l += kBlockDepth) {
    const Part depth{l, std::min(kBlockDepth, g.k - l)};
    for (int64_t j = 0; j < g.n; j += kBlockColumns) {
      const Part columns{j, std::min(kBlockColumns, g.n - j)};
      pack_b(g, depth, columns, b.get());
#pragma omp parallel for
      for (int64_t i = 0; i < g.m; i += kBlockRows)
        multiply_block(g, {i, std::min(kBlockRows, g.m - i)}, depth, columns, b.get());
    }
  }
  return 0;
}

}  // namespace longhaul::kernels::cpu
