// Operations of cuDNN on a context's stream, to compare our own with: a second oracle in the GPU
// tests, a peer in bench_ops. Nothing that trains uses it.
#pragma once

#include <memory>
#include <string>

#include "kernels/core/context.h"
#include "kernels/core/tensor.h"

namespace longhaul::bench {

/// Empty if cuDNN can be used on the context; else why not.
std::string cudnn_unavailable_reason(const core::Context& context);

/// One operation, planned for its tensors: cuDNN's first choice of engine. They outlive it.
class CudnnOp {
 public:
  struct Plan;
  explicit CudnnOp(std::unique_ptr<Plan> plan);
  ~CudnnOp();
  CudnnOp(CudnnOp&&) noexcept;
  CudnnOp& operator=(CudnnOp&&) noexcept;
  /// Starts it on the context's stream.
  void run() const;

 private:
  std::unique_ptr<Plan> plan_;
};

/// Depthwise: y[b, t, c] = Σ_j weight[c, j] x[b, t + j, c] and its gradients, all contiguous and of
/// one dtype (fp32, bf16; sums in fp32): x, dx [batch, length + K − 1, channels], weight, dweight
/// [channels, K], y, dy [batch, length, channels]. With the state's K − 1 rows in front of x it is
/// the causal convolution without bias and SiLU. Overwrites its result. Throws core::Error where
/// cuDNN is missing or has no engine for it.
CudnnOp cudnn_depthwise(core::Context& context, const core::TensorView& x,
                        const core::TensorView& weight, const core::TensorView& y);
CudnnOp cudnn_depthwise_dx(core::Context& context, const core::TensorView& dy,
                           const core::TensorView& weight, const core::TensorView& dx);
CudnnOp cudnn_depthwise_dweight(core::Context& context, const core::TensorView& x,
                                const core::TensorView& dy, const core::TensorView& dweight);

/// rstd = 1/√(mean x² + epsilon), y = x · rstd · weight, and gradients: x, y, dy, dx [rows, width],
/// weight, dweight [width] of one dtype; rstd [rows] fp32. Overwrites its results. Throws likewise.
struct CudnnRmsNorm {
  core::TensorView x, weight, rstd;
  core::TensorView y;                ///< forward
  core::TensorView dy, dx, dweight;  ///< backward
};
CudnnOp cudnn_rms_norm(core::Context& context, const CudnnRmsNorm& args, float epsilon);
CudnnOp cudnn_rms_norm_backward(core::Context& context, const CudnnRmsNorm& args);

}  // namespace longhaul::bench
