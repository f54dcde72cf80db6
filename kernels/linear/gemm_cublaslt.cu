// cuBLASLt is column-major: a row-major matrix is its transpose there, so C = op(A) op(B) becomes
// Cᵀ = op(B)ᵀ op(A)ᵀ with the same memory. Its C is our addend, its D our C.
#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "kernels/core/cuda_queue.cuh"
#include "kernels/cuda_sizes.h"
#include "kernels/linear/cublaslt_library.h"
#include "kernels/linear/gemm_cuda.h"

namespace longhaul::kernels::cuda {
namespace {

void require_success(cublasStatus_t status, const char* call, int line) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw core::Error(core::message("cuBLASLt: ", cublas_lt().status_string(status), " in ", call,
                                  " at ", __FILE__, ":", line));
}
#define MUST_BLAS(call) require_success((call), #call, __LINE__)

void destroy_handle(cublasLtHandle_t handle) { (void)cublas_lt().destroy(handle); }
void destroy_operation(cublasLtMatmulDesc_t desc) { (void)cublas_lt().desc_destroy(desc); }
void destroy_layout(cublasLtMatrixLayout_t layout) { (void)cublas_lt().layout_destroy(layout); }
void destroy_preference(cublasLtMatmulPreference_t p) { (void)cublas_lt().preference_destroy(p); }
using Handle = core::UniqueHandle<cublasLtHandle_t, destroy_handle>;
using Operation = core::UniqueHandle<cublasLtMatmulDesc_t, destroy_operation>;
using MatrixLayout = core::UniqueHandle<cublasLtMatrixLayout_t, destroy_layout>;
using Preference = core::UniqueHandle<cublasLtMatmulPreference_t, destroy_preference>;

cudaDataType_t type_of(core::DType dtype) {
  return dtype == core::DType::kBF16 ? CUDA_R_16BF : CUDA_R_32F;
}

MatrixLayout layout_of(const core::TensorView& matrix) {
  cublasLtMatrixLayout_t layout = nullptr;
  MUST_BLAS(cublas_lt().layout_create(
      &layout, type_of(matrix.dtype()), static_cast<uint64_t>(matrix.extent(1)),
      static_cast<uint64_t>(matrix.extent(0)), leading_dimension(matrix)));
  return MatrixLayout(layout);
}

/// Of the address, in bytes; no algorithm asks for more than 16.
uint32_t alignment_of(const core::TensorView& matrix) {
  constexpr uintptr_t kMost = 16;
  const auto address = reinterpret_cast<uintptr_t>(matrix.raw());
  return static_cast<uint32_t>(address == 0 ? kMost : std::min(kMost, address & (~address + 1)));
}
using Alignments = std::array<uint32_t, 4>;
Alignments alignments_of(const Gemm& g) {
  return {alignment_of(g.a), alignment_of(g.b), alignment_of(g.addend), alignment_of(g.c)};
}

/// What decides the algorithm: shapes, strides (of the addend: −1 without one), types, alignments,
/// and whether the addend is C.
using Problem = std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int, int,
                           bool, Alignments>;

class Blas final : public core::LibraryHandles {
 public:
  explicit Blas(core::Context& context)
      : workspace_(context, core::DType::kF32,
                   {kGemmWorkspace / core::size_of(core::DType::kF32)}) {
    cublasLtHandle_t handle = nullptr;
    MUST_BLAS(cublas_lt().create(&handle));
    handle_ = Handle(handle);
  }

  void multiply(core::Context& context, const Gemm& g) {
    const Operation operation = operation_of(g);
    const MatrixLayout a = layout_of(g.b), b = layout_of(g.a), d = layout_of(g.c);
    const MatrixLayout own_addend = g.addend ? layout_of(g.addend) : MatrixLayout();
    const MatrixLayout& c = g.addend ? own_addend : d;
    const auto [entry, is_new] = algorithms_.try_emplace(problem_of(g));
    if (is_new) {
      try {
        entry->second = choose(operation, a, b, c, d, g);
      } catch (...) {
        algorithms_.erase(entry);
        throw;
      }
    }
    const float alpha = 1, beta = g.addend ? 1 : 0;
    MUST_BLAS(cublas_lt().matmul(
        handle_.get(), operation.get(), &alpha, g.b.raw(), a.get(), g.a.raw(), b.get(), &beta,
        g.addend ? g.addend.raw() : g.c.raw(), c.get(), g.c.raw(), d.get(), &entry->second,
        workspace_.view().raw(), static_cast<size_t>(kGemmWorkspace), core::stream_of(context)));
  }

 private:
  static Operation operation_of(const Gemm& g) {
    cublasLtMatmulDesc_t desc = nullptr;
    // fp32 operands are multiplied in fp32, not tf32: fp32 models are there to be compared with.
    MUST_BLAS(cublas_lt().desc_create(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    Operation operation(desc);
    const cublasOperation_t first = g.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasOperation_t second = g.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
    MUST_BLAS(cublas_lt().desc_set(desc, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first));
    MUST_BLAS(cublas_lt().desc_set(desc, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second));
    return operation;
  }

  static Problem problem_of(const Gemm& g) {
    const int transposes = (g.transpose_a ? 1 : 0) + (g.transpose_b ? 2 : 0);
    const int types = static_cast<int>(g.a.dtype()) * 16 + static_cast<int>(g.c.dtype());
    return {g.c.extent(0),
            g.c.extent(1),
            g.transpose_a ? g.a.extent(0) : g.a.extent(1),
            leading_dimension(g.a),
            leading_dimension(g.b),
            leading_dimension(g.c),
            g.addend ? leading_dimension(g.addend) : -1,
            transposes,
            types,
            g.addend.raw() == g.c.raw(),
            alignments_of(g)};
  }

  /// cuBLASLt's own first choice, remembered, so that a shape always gives the same bits. Split-k
  /// through atomics is excluded by the reduction schemes it may use.
  cublasLtMatmulAlgo_t choose(const Operation& operation, const MatrixLayout& a,
                              const MatrixLayout& b, const MatrixLayout& c, const MatrixLayout& d,
                              const Gemm& g) {
    cublasLtMatmulPreference_t created = nullptr;
    MUST_BLAS(cublas_lt().preference_create(&created));
    const Preference preference(created);
    const auto set = [&](cublasLtMatmulPreferenceAttributes_t what, const auto& value) {
      MUST_BLAS(cublas_lt().preference_set(created, what, &value, sizeof value));
    };
    set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<uint64_t>(kGemmWorkspace));
    const uint32_t schemes =
        CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE | CUBLASLT_REDUCTION_SCHEME_NONE;
    set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, schemes);
    const auto [of_a, of_b, of_addend, of_c] = alignments_of(g);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, of_b);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, of_a);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, g.addend ? of_addend : of_c);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, of_c);
    cublasLtMatmulHeuristicResult_t result{};
    int found = 0;
    MUST_BLAS(cublas_lt().algo_heuristic(handle_.get(), operation.get(), a.get(), b.get(), c.get(),
                                         d.get(), created, 1, &result, &found));
    if (found == 0) {
      throw core::Error(core::message("cuBLASLt has no algorithm for ", g.a.shape(), " times ",
                                      g.b.shape(), " in ", name_of(g.a.dtype())));
    }
    return result.algo;
  }

  core::Tensor workspace_;  // one for all products: they run in order on the context's stream
  Handle handle_;
  std::map<Problem, cublasLtMatmulAlgo_t> algorithms_;
};

}  // namespace

void gemm(core::Context& context, const Gemm& args) {
  const int64_t k = args.transpose_a ? args.a.extent(0) : args.a.extent(1);
  if (args.c.elements() == 0) return;
  if (k == 0) {
    if (!args.addend) {
      for (int64_t i = 0; i < args.c.extent(0); ++i) core::set_zero(context, args.c.select(0, i));
    } else if (args.addend.raw() != args.c.raw()) {
      core::copy(context, args.addend, args.c);
    }
    return;
  }
  context.queue()
      ->handles<Blas>([&] { return std::make_unique<Blas>(context); })
      .multiply(context, args);
}

}  // namespace longhaul::kernels::cuda
