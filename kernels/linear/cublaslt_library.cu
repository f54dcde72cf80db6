#include "kernels/linear/cublaslt_library.h"

#include <string>

#include "kernels/core/shared_library.h"

namespace longhaul::kernels::cuda {
namespace {

CublasLt load() {
  const core::SharedLibrary library(
      "cuBLASLt", "libcublasLt.so." + std::to_string(CUBLAS_VER_MAJOR), LONGHAUL_CUDA_LIBRARIES);
  CublasLt f{};
  library.find("cublasLtCreate", f.create);
  library.find("cublasLtDestroy", f.destroy);
  library.find("cublasLtGetStatusString", f.status_string);
  library.find("cublasLtMatmul", f.matmul);
  library.find("cublasLtMatmulAlgoGetHeuristic", f.algo_heuristic);
  library.find("cublasLtMatmulDescCreate", f.desc_create);
  library.find("cublasLtMatmulDescDestroy", f.desc_destroy);
  library.find("cublasLtMatmulDescSetAttribute", f.desc_set);
  library.find("cublasLtMatrixLayoutCreate", f.layout_create);
  library.find("cublasLtMatrixLayoutDestroy", f.layout_destroy);
  library.find("cublasLtMatmulPreferenceCreate", f.preference_create);
  library.find("cublasLtMatmulPreferenceDestroy", f.preference_destroy);
  library.find("cublasLtMatmulPreferenceSetAttribute", f.preference_set);
  return f;
}

}  // namespace

const CublasLt& cublas_lt() {
  static const CublasLt functions = load();
  return functions;
}

}  // namespace longhaul::kernels::cuda
