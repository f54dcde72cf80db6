// A build without cuDNN.
#include <utility>

#include "bench/cudnn/cudnn_ops.h"
#include "kernels/core/error.h"

namespace longhaul::bench {

namespace {

constexpr const char* kReason = "this program was built without cuDNN (its build found no cudnn.h)";
[[noreturn]] void unavailable() { throw core::Error(kReason); }

}  // namespace

struct CudnnOp::Plan {};
CudnnOp::CudnnOp(std::unique_ptr<Plan> plan) : plan_(std::move(plan)) {}
CudnnOp::~CudnnOp() = default;
CudnnOp::CudnnOp(CudnnOp&&) noexcept = default;
CudnnOp& CudnnOp::operator=(CudnnOp&&) noexcept = default;
void CudnnOp::run() const { unavailable(); }

std::string cudnn_unavailable_reason(const core::Context&) { return kReason; }
CudnnOp cudnn_depthwise(core::Context&, const core::TensorView&, const core::TensorView&,
                        const core::TensorView&) {
  unavailable();
}
CudnnOp cudnn_depthwise_dx(core::Context&, const core::TensorView&, const core::TensorView&,
                           const core::TensorView&) {
  unavailable();
}
CudnnOp cudnn_depthwise_dweight(core::Context&, const core::TensorView&, const core::TensorView&,
                                const core::TensorView&) {
  unavailable();
}
CudnnOp cudnn_rms_norm(core::Context&, const CudnnRmsNorm&, float) { unavailable(); }
CudnnOp cudnn_rms_norm_backward(core::Context&, const CudnnRmsNorm&) { unavailable(); }

}  // namespace longhaul::bench
