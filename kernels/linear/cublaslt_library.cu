#include "kernels/linear/cublaslt_library.h"

#include <dlfcn.h>

#include <string>

#include "kernels/core/error.h"

namespace longhaul::kernels::cuda {
namespace {

/// Where the dynamic linker looks (LD_LIBRARY_PATH, a bundle beside the program), else where the
/// toolkit of the build has it.
void* open_library() {
  const std::string name = "libcublasLt.so." + std::to_string(CUBLAS_VER_MAJOR);
  const std::string in_toolkit = std::string(LONGHAUL_CUDA_LIBRARIES) + "/" + name;
  for (const std::string& path : {name, in_toolkit}) {
    if (void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
  }
  throw core::Error(core::message("cuBLASLt: ", name, " was not found (LD_LIBRARY_PATH, ",
                                  LONGHAUL_CUDA_LIBRARIES, "): ", dlerror()));
}

template <class Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) throw core::Error(core::message("cuBLASLt: no function ", name));
}

CublasLt load() {
  void* library = open_library();
  CublasLt f{};
  find(library, "cublasLtCreate", f.create);
  find(library, "cublasLtDestroy", f.destroy);
  find(library, "cublasLtGetStatusString", f.status_string);
  find(library, "cublasLtMatmul", f.matmul);
  find(library, "cublasLtMatmulAlgoGetHeuristic", f.algo_heuristic);
  find(library, "cublasLtMatmulDescCreate", f.desc_create);
  find(library, "cublasLtMatmulDescDestroy", f.desc_destroy);
  find(library, "cublasLtMatmulDescSetAttribute", f.desc_set);
  find(library, "cublasLtMatrixLayoutCreate", f.layout_create);
  find(library, "cublasLtMatrixLayoutDestroy", f.layout_destroy);
  find(library, "cublasLtMatmulPreferenceCreate", f.preference_create);
  find(library, "cublasLtMatmulPreferenceDestroy", f.preference_destroy);
  find(library, "cublasLtMatmulPreferenceSetAttribute", f.preference_set);
  return f;
}

}  // namespace

const CublasLt& cublas_lt() {
  static const CublasLt functions = load();
  return functions;
}

}  // namespace longhaul::kernels::cuda
