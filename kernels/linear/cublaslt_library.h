// cuBLASLt, opened when the first product asks for it: loading half a gigabyte would slow down
// every command, and a program that runs on CPUs should not need it at all.
#pragma once

#include <cublasLt.h>

namespace longhaul::kernels::cuda {

/// The functions that gemm_cublaslt.cu calls, by their names without "cublasLt".
struct CublasLt {
  decltype(&cublasLtCreate) create;
  decltype(&cublasLtDestroy) destroy;
  decltype(&cublasLtGetStatusString) status_string;
  decltype(&cublasLtMatmul) matmul;
  decltype(&cublasLtMatmulAlgoGetHeuristic) algo_heuristic;
  decltype(&cublasLtMatmulDescCreate) desc_create;
  decltype(&cublasLtMatmulDescDestroy) desc_destroy;
  decltype(&cublasLtMatmulDescSetAttribute) desc_set;
  decltype(&cublasLtMatrixLayoutCreate) layout_create;
  decltype(&cublasLtMatrixLayoutDestroy) layout_destroy;
  decltype(&cublasLtMatmulPreferenceCreate) preference_create;
  decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy;
  decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set;
};

/// Loaded once in a process, as shared libraries are. Error if it, or a function, is not there.
const CublasLt& cublas_lt();

}  // namespace longhaul::kernels::cuda
