// The cuda:: side of every op in a build without CUDA.
#include "kernels/conv1d/causal_conv1d.h"
#include "kernels/core/error.h"
#include "kernels/elementwise/add.h"
#include "kernels/elementwise/convert.h"
#include "kernels/embedding/embedding.h"
#include "kernels/linear/linear.h"
#include "kernels/loss/linear_cross_entropy.h"
#include "kernels/mlp/swiglu.h"
#include "kernels/norm/gated_rms_norm.h"
#include "kernels/norm/rms_norm.h"
#include "kernels/optimizer/adamw.h"
#include "kernels/selective_scan/selective_scan.h"
#include "kernels/ssd/ssd.h"
#include "kernels/ssd/time_step.h"
#include "kernels/state/state_ops.h"

namespace longhaul::kernels::cuda {
namespace {
[[noreturn]] void unavailable() { throw core::Error("this program was built without CUDA"); }
}  // namespace

using core::Context;
using core::TensorView;

void add(Context&, const TensorView&, const TensorView&) { unavailable(); }
void convert(Context&, const TensorView&, const TensorView&) { unavailable(); }
void embedding_forward(Context&, const EmbeddingForward&) { unavailable(); }
void embedding_backward(Context&, const EmbeddingBackward&) { unavailable(); }
void linear_forward(Context&, const LinearForward&) { unavailable(); }
void linear_backward(Context&, const LinearBackward&) { unavailable(); }
void rms_norm_forward(Context&, const RmsNormForward&) { unavailable(); }
void rms_norm_backward(Context&, const RmsNormBackward&) { unavailable(); }
void gated_rms_norm_forward(Context&, const GatedRmsNormForward&) { unavailable(); }
void gated_rms_norm_backward(Context&, const GatedRmsNormBackward&) { unavailable(); }
void causal_conv1d_forward(Context&, const CausalConv1dForward&) { unavailable(); }
void causal_conv1d_backward(Context&, const CausalConv1dBackward&) { unavailable(); }
void time_step_forward(Context&, const TimeStepForward&) { unavailable(); }
void time_step_backward(Context&, const TimeStepBackward&) { unavailable(); }
void ssd_forward(Context&, const SsdForward&) { unavailable(); }
void ssd_forward_map(Context&, const SsdForward&, const SsdMap&) { unavailable(); }
void ssd_forward_intra(Context&, const SsdForward&) { unavailable(); }
void ssd_forward_inter(Context&, const SsdForward&) { unavailable(); }
void ssd_backward(Context&, const SsdBackward&) { unavailable(); }
void ssd_backward_map(Context&, const SsdBackward&, const TensorView&) { unavailable(); }
void ssd_backward_intra(Context&, const SsdBackward&) { unavailable(); }
void ssd_backward_inter(Context&, const SsdBackward&) { unavailable(); }
void ssd_step(Context&, const SsdStep&) { unavailable(); }
void selective_scan_forward(Context&, const SelectiveScanForward&) { unavailable(); }
void selective_scan_map(Context&, const SelectiveScanForward&, const SelectiveScanMap&) {
  unavailable();
}
void selective_scan_backward(Context&, const SelectiveScanBackward&) { unavailable(); }
void selective_scan_backward_map(Context&, const SelectiveScanBackward&, const TensorView&) {
  unavailable();
}
void swiglu_forward(Context&, const SwigluForward&) { unavailable(); }
void swiglu_backward(Context&, const SwigluBackward&) { unavailable(); }
LossSum linear_cross_entropy(Context&, const LinearCrossEntropy&) { unavailable(); }
LossSum linear_cross_entropy(Context&, const LinearCrossEntropy&, const CrossEntropyRows&) {
  unavailable();
}
void adamw_step(Context&, const AdamwStep&) { unavailable(); }
std::vector<double> sums_of_squares(Context&, std::span<const TensorView>) { unavailable(); }
void block_sums_of_squares(Context&, std::span<const BlockSums>) { unavailable(); }
void state_noise(Context&, const StateNoise&) { unavailable(); }
void state_moments(Context&, const StateMoments&) { unavailable(); }
void state_gather(Context&, const StateGather&) { unavailable(); }

}  // namespace longhaul::kernels::cuda
