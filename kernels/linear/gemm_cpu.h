// Row-major matrix product on the CPU. fp32 goes to oneDNN (no_onednn.cpp: builds without it), fp64
// to plain blocked loops.
#pragma once

#include <cstdint>

#include "kernels/core/context.h"

namespace longhaul::kernels::cpu {

/// C = alpha op(A) op(B) + beta C; op(A) is [m, k], op(B) is [k, n], C is [m, n]; ld = row stride
/// as stored.
template <class T>
struct Gemm {
  bool transpose_a = false, transpose_b = false;
  int64_t m = 0, n = 0, k = 0;
  T alpha = 1;
  const T* a = nullptr;
  int64_t lda = 0;
  const T* b = nullptr;
  int64_t ldb = 0;
  T beta = 0;
  T* c = nullptr;
  int64_t ldc = 0;
};
void gemm(core::Context& context, const Gemm<float>& args);
void gemm(core::Context& context, const Gemm<double>& args);

/// One product, uncut, by oneDNN (no_onednn.cpp: by a register-tiled loop), with as many threads as
/// OpenMP gives it. Not 0: refused, with nothing said in C.
int sgemm(const Gemm<float>& args);

}  // namespace longhaul::kernels::cpu
